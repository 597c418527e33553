package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.postgres.PostgresUrl;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RepositoryPlaceTest {
  private static final PostgresUrl HERE = PostgresUrl.parse("postgresql://u@localhost/d");

  /** Of a documentation network: no machine has it. */
  private static final PostgresUrl ELSEWHERE = PostgresUrl.parse("postgresql://u@192.0.2.7/d");

  private static final List<RepositoryPlace.Mount> MOUNTS =
      RepositoryPlace.Mount.parse(
          List.of(
              "22 27 0:21 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/l",
              "23 22 8:1 / /var/lib/my\\040backups rw - ext4 /dev/sda1 rw",
              "24 22 0:40 / /mnt/nas rw - nfs4 nas:/export rw",
              "25 22 0:41 / /dev/shm rw - tmpfs tmpfs rw",
              "26 22 0:42 / /mnt/bucket rw - fuse.s3fs s3fs rw",
              "not a mount"));

  private static RepositoryPlace at(String folder, boolean inContainer) {
    return new RepositoryPlace(Path.of(folder), MOUNTS, inContainer);
  }

  private static List<String> whats(List<Advice> advice) {
    return advice.stream()
        .peek(one -> assertThat(one.level()).isEqualTo("danger"))
        .map(Advice::what)
        .toList();
  }

  @Test
  void a_container_s_own_layer_goes_with_the_container() {
    assertThat(whats(at("/backups", true).advice()))
        .containsExactly("the repository is on no volume: it is gone when this container is");
    assertThat(at("/var/lib/my backups/acme", true).advice()).isEmpty();
    assertThat(at("/mnt/nas/acme", true).advice()).isEmpty();
    // A live system has such a root, too, and goes nowhere.
    assertThat(at("/backups", false).advice()).isEmpty();
  }

  @Test
  void memory_goes_with_the_next_restart() {
    assertThat(whats(at("/dev/shm/acme", false).advice()))
        .containsExactly(
            "the repository is in memory (tmpfs): it is gone when this machine restarts");
  }

  @Test
  void a_repository_beside_its_server_is_told_and_one_on_another_machine_is_not() {
    assertThat(whats(at("/backups", false).advice(HERE, null)))
        .containsExactly(
            "the repository is on the machine of the server: both can be lost together");
    assertThat(at("/backups", false).advice(ELSEWHERE, null)).isEmpty();
    assertThat(at("/mnt/nas/acme", false).advice(HERE, null)).isEmpty();
    assertThat(at("/mnt/nas/acme", false).isHere()).isFalse();
    assertThat(at("/mnt/bucket/acme", false).isHere()).isFalse();
    RepositoryPlace bucket = RepositoryPlace.of("s3://bucket/acme", Map.of());
    assertThat(bucket.isHere()).isFalse();
    assertThat(bucket.advice(HERE, null)).isEmpty();
    assertThat(bucket.advice()).isEmpty();
  }

  @Test
  void one_volume_is_worse_than_one_machine(@TempDir Path folder) throws Exception {
    Path repository = Files.createDirectory(folder.resolve("repository"));
    Path data = Files.createDirectory(folder.resolve("data"));
    assertThat(
            whats(
                RepositoryPlace.of(repository.toUri().toString(), Map.of())
                    .advice(HERE, data.toString())))
        .containsExactly(
            "the repository is on the volume of the server's data: both are lost together");
  }
}
