package dev.holdfast.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.ObjectExistsException;
import dev.holdfast.testkit.S3Server;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

final class RepositoryTest {
  @TempDir private Path temporary;

  @Test
  void what_was_registered_is_found_after_opening_again() {
    Repository created = Repository.create(place("r"));
    ClusterDocument acme = Samples.cluster("acme", "7443211234567890123");
    created.register(acme);
    created.register(Samples.cluster("Zoo.eu-1", "2"));

    Repository opened = Repository.open(place("r"));
    assertThat(opened.id()).isEqualTo(created.id());
    assertThat(opened.location()).isEqualTo(place("r"));
    assertThat(opened.clusterNames()).containsExactly("Zoo.eu-1", "acme");
    assertThat(opened.cluster("acme").document()).isEqualTo(acme);
    assertThat(opened.verify()).isEmpty();
  }

  @Test
  void a_repository_is_made_where_the_directory_is_missing_or_empty() throws IOException {
    Files.createDirectory(temporary.resolve("empty"));
    for (String name : new String[] {"empty", "missing", "deeper/still"}) {
      Repository made = Repository.openOrCreate(place(name));
      assertThat(Repository.openOrCreate(place(name)).id()).isEqualTo(made.id());
    }
    assertThat(Repository.open(temporary.resolve("empty").toUri().toString()).clusterNames())
        .isEmpty();
  }

  @Test
  void a_repository_is_not_made_over_another_or_among_other_files() throws IOException {
    Repository.create(place("r"));
    assertFailure(
        () -> Repository.create(place("r")),
        Kind.REFUSED,
        "cannot create a repository in %s: there is one already; next: use it, or name another place"
            .formatted(place("r")));
    Files.createDirectories(temporary.resolve("home/photos"));
    assertFailure(
        () -> Repository.openOrCreate(place("home")),
        Kind.REFUSED,
        "cannot create a repository in %s: other files are there, and they are no repository; next: name an empty or a new directory, or another prefix of the bucket"
            .formatted(place("home")));
    Files.createDirectories(temporary.resolve("flat"));
    Files.writeString(temporary.resolve("flat/notes.txt"), "");
    assertThatThrownBy(() -> Repository.create(place("flat")))
        .hasMessageContaining("other files are there");
  }

  @Test
  void a_folder_that_is_no_repository_cannot_be_opened() {
    assertFailure(
        () -> Repository.open(temporary.toString()),
        Kind.REPOSITORY_UNREACHABLE,
        "cannot open the repository %s: there is no holdfast.json in it; next: check the location, and that its disk is mounted; `holdfast protect` makes a new repository in an empty or missing directory, or below an empty prefix of a bucket"
            .formatted(temporary));
  }

  @Test
  void a_missing_folder_cannot_be_opened() throws IOException {
    assertFailure(
        () -> Repository.open(place("none")),
        Kind.REPOSITORY_UNREACHABLE,
        "cannot read holdfast.json in %1$s: there is no such directory; next: check the location, and that the disk that holds %1$s is mounted"
            .formatted(place("none")));
    assertThat(temporary.resolve("none")).doesNotExist();
    Files.writeString(temporary.resolve("file"), "");
    assertThatThrownBy(() -> Repository.open(place("file")))
        .hasMessageContaining("there is no such directory");
    assertThatThrownBy(() -> Repository.openOrCreate(place("file")))
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.REPOSITORY_UNREACHABLE);
  }

  @Test
  void a_bucket_holds_a_repository() throws IOException {
    try (S3Server server = S3Server.start("acme-backups");
        S3Server.Environment environment = S3Server.environment(server.endpoint())) {
      environment.set("aws.disableEc2Metadata", "true");
      String location = "s3://acme-backups/holdfast";
      assertFailure(
          () -> Repository.open(location),
          Kind.REPOSITORY_UNREACHABLE,
          "cannot open the repository s3://acme-backups/holdfast: there is no holdfast.json in it; next: check the location, and that its disk is mounted; `holdfast protect` makes a new repository in an empty or missing directory, or below an empty prefix of a bucket");
      Repository made = Repository.openOrCreate(location);
      ClusterDocument acme = Samples.cluster("acme", "1");
      made.register(acme);

      Repository opened = Repository.openOrCreate(location + "/");
      assertThat(opened.id()).isEqualTo(made.id());
      assertThat(opened.location()).isEqualTo(location);
      assertThat(opened.clusterNames()).containsExactly("acme");
      assertThat(opened.cluster("acme").document()).isEqualTo(acme);
      assertThat(opened.verify()).isEmpty();

      assertFailure(
          () -> Repository.create(location),
          Kind.REFUSED,
          "cannot create a repository in s3://acme-backups/holdfast: there is one already; next: use it, or name another place");
      assertFailure(
          () -> Repository.openOrCreate("s3://acme-backups"),
          Kind.REFUSED,
          "cannot create a repository in s3://acme-backups: other files are there, and they are no repository; next: name an empty or a new directory, or another prefix of the bucket");
      assertThatThrownBy(() -> Repository.openOrCreate("s3://no-such/holdfast"))
          .hasMessageContaining("there is no bucket no-such");
    }
    assertThatThrownBy(() -> Repository.open("s3://user:hunter2@acme/x"))
        .hasMessageNotContaining("hunter2")
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.USAGE);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", " ", "ftp://host/x", "file://host/x", "a\0b", "file:relative"})
  void what_is_no_directory_is_a_wrong_location(String location) {
    assertThatThrownBy(() -> Repository.open(location))
        .isInstanceOf(OperatorException.class)
        .hasMessageContaining("a repository is a directory or a bucket")
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.USAGE);
  }

  @Test
  void a_clusters_place_is_given_once_and_followed() {
    Repository repository = Repository.create(place("r"));
    Instant at = Instant.parse("2026-11-22T10:00:00Z");
    ClusterStore acme = repository.register(Samples.cluster("acme", "1"));
    ClusterDocument second = Samples.cluster("acme2", "2").continuing("acme", "acme");
    repository.register(second);
    assertThat(second.identity()).isEqualTo("acme");
    assertThat(repository.current("acme").document().name()).isEqualTo("acme");
    acme.succeeded(new Succession("acme2", at));
    acme.succeeded(new Succession("acme2", at.plusSeconds(1))); // the same again
    assertFailure(
        () -> acme.succeeded(new Succession("acme3", at)),
        Kind.REFUSED,
        "acme3 cannot take the place of acme: acme2 has it; next: to take the place of that one, say so with --continues");
    assertThat(repository.cluster("acme").succession()).isEqualTo(new Succession("acme2", at));
    assertThat(repository.current("acme").document().name()).isEqualTo("acme2");
    // What nobody can write by a command ends, too.
    repository.cluster("acme2").succeeded(new Succession("acme", at));
    assertThat(repository.current("acme").document().name()).isNotBlank();
  }

  @Test
  void a_name_of_another_cluster_is_refused() {
    Repository repository = Repository.create(place("r"));
    repository.register(Samples.cluster("acme", "1"));
    assertFailure(
        () -> repository.register(Samples.cluster("acme", "2")),
        Kind.REFUSED,
        "cannot register cluster acme: that name belongs to the postgresql cluster with system identifier 1, and this is postgresql 2; next: choose another name, or check the connection URL; where it is acme itself, upgraded or moved: holdfast protect NEW_NAME URL --environment production --continues acme");
    assertThat(repository.cluster("acme").document().systemIdentifier()).isEqualTo("1");
  }

  @Test
  void an_unknown_cluster_is_told_with_the_known_ones() {
    Repository repository = Repository.create(place("r"));
    assertFailure(
        () -> repository.cluster("acme"),
        Kind.USAGE,
        "there is no cluster \"acme\" in %s: no cluster is registered there; next: register one with `holdfast protect NAME URL`"
            .formatted(place("r")));
    repository.register(Samples.cluster("shop", "1"));
    repository.register(Samples.cluster("bank", "2"));
    assertFailure(
        () -> repository.cluster("acme"),
        Kind.USAGE,
        "there is no cluster \"acme\" in %s: registered are: bank, shop; next: use one of these names, or register it with `holdfast protect NAME URL`"
            .formatted(place("r")));
    assertThatThrownBy(() -> repository.cluster("../../etc"))
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.USAGE);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", ".", "..", "a/b", "../x", "a b", "-a", ".a", "ä"})
  void a_hostile_cluster_name_is_refused(String name) {
    Repository repository = Repository.create(place("r"));
    assertThatThrownBy(() -> repository.register(Samples.cluster(name, "1")))
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.USAGE);
    assertThat(repository.clusterNames()).isEmpty();
  }

  @Test
  void a_cluster_document_is_updated() {
    Repository repository = Repository.create(place("r"));
    ClusterDocument before = repository.register(Samples.cluster("acme", "1")).document();
    var after =
        new ClusterDocument(
            before.name(),
            before.engine(),
            before.systemIdentifier(),
            before.major(),
            "staging",
            before.walSegmentSize(),
            before.url(),
            "holdfast_acme",
            before.protectedAt(),
            Map.of());
    repository.update(after);
    assertThat(repository.cluster("acme").document()).isEqualTo(after);
  }

  @Test
  void catalogs_and_documents_are_read_back() {
    ClusterStore acme = Repository.create(place("r")).register(Samples.cluster("acme", "1"));
    var early = new Samples.Snapshot("0/3000028", Map.of(16384L, "public.users"));
    var late = new Samples.Snapshot("F/0", Map.of());
    acme.putCatalog("FFFFFFFF00000000", late);
    acme.putCatalog("0000000003000028", late);
    acme.putCatalog("0000000003000028", early);
    assertThat(acme.catalogs()).containsExactly("0000000003000028", "FFFFFFFF00000000");
    assertThat(acme.catalog("0000000003000028", Samples.Snapshot.class)).isEqualTo(early);
    assertThatThrownBy(() -> acme.catalog("0/3000028", Samples.Snapshot.class))
        .isInstanceOf(IllegalArgumentException.class);

    assertThat(acme.documents("proofs")).isEmpty();
    acme.putDocument("proofs", "2", late);
    acme.putDocument("proofs", "1", early);
    assertThat(acme.documents("proofs")).containsExactly("1", "2");
    assertThat(acme.document("proofs", "1", Samples.Snapshot.class)).isEqualTo(early);
    assertThatThrownBy(() -> acme.putDocument("proofs", "1", late))
        .isInstanceOf(ObjectExistsException.class);
    assertFailure(
        () -> acme.document("proofs", "3", Samples.Snapshot.class),
        Kind.USAGE,
        "there is no \"3\" among the proofs of cluster acme: nothing of that name was stored; next: check the name");
    assertThatThrownBy(() -> acme.putDocument("wal", "x", early))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> acme.putDocument("proofs", "../x", early))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void documents_are_json_that_people_can_read() throws IOException {
    Repository.create(place("r")).register(Samples.cluster("acme", "1"));
    String text = Files.readString(temporary.resolve("r/clusters/acme/cluster.json"), UTF_8);
    assertThat(text)
        .matches(
            "(?s)\\{\"holdfast\":\"cluster\",\"formatVersion\":1,\"crc32c\":\"[0-9a-f]{8}\",\"content\":\\n.*")
        .contains("\n  \"environment\" : \"production\",\n")
        .contains("\"protectedAt\" : \"2026-11-21T01:39:57Z\"");
    JsonNode json = new JsonMapper().readTree(text);
    assertThat(json.get("content").get("name").asString()).isEqualTo("acme");
  }

  @Test
  void documents_of_a_newer_release_may_have_more_keys() {
    String name = "clusters/acme/proofs/1.json";
    byte[] wrapped =
        JsonDocument.wrap(name, "proofs", 1, "{\"lsn\":\"F/0\",\"tables\":{},\"more\":[1]}");
    assertThat(JsonDocument.unwrap(name, "proofs", wrapped, Samples.Snapshot.class))
        .isEqualTo(new Samples.Snapshot("F/0", Map.of()));
  }

  private String place(String name) {
    return temporary.resolve(name).toString();
  }

  private static void assertFailure(
      org.assertj.core.api.ThrowableAssert.ThrowingCallable call, Kind kind, String message) {
    assertThatThrownBy(call)
        .isInstanceOf(OperatorException.class)
        .hasMessage(message)
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(kind);
  }
}
