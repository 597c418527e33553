package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.store.KeySources;
import dev.holdfast.store.Repository;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The key of a repository, from the command line. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class KeyCommandTest {
  private static final String PASSPHRASE = "correct horse battery staple";

  @TempDir Path folder;
  private final Map<String, String> environment = new HashMap<>();
  private Ended ended = new Ended(0, "", "");
  private final KeySources before = KeySources.ofProcess();

  @BeforeEach
  void home() {
    environment.put("XDG_CONFIG_HOME", folder.resolve("config").toString());
    environment.put("HOLDFAST_REPOSITORY", folder.resolve("repository").toString());
  }

  @AfterEach
  void putBack() {
    KeySources.useInProcess(before);
  }

  private int run(String... arguments) {
    ended = InProcess.run(environment, arguments);
    return ended.exitCode();
  }

  private JsonNode json() {
    return JsonMapper.shared().readTree(ended.out());
  }

  private Repository create() {
    KeySources.useInProcess(KeySources.of(environment));
    return Repository.create(folder.resolve("repository").toString(), Repository.Creation.USUAL);
  }

  private Path file(String name, String content) throws IOException {
    return Files.writeString(folder.resolve(name), content);
  }

  @Test
  void show_says_where_the_key_is_and_no_secret() throws IOException {
    Repository made = create();
    Path file = folder.resolve("config/holdfast/keys/" + made.id() + ".key");
    assertThat(run("key", "show")).isZero();
    assertThat(ended.out())
        .contains(made.id())
        .contains("a key that Holdfast made")
        .contains(file.toString());
    assertThat(run("key", "show", "--json")).isZero();
    assertThat(json().get("encrypted").asBoolean()).isTrue();
    assertThat(json().get("wrappedBy").asString()).isEqualTo("generatedKey");
    assertThat(json().get("keyFrom").asString()).isEqualTo(file.toString());
    String key = Files.readAllLines(file).getLast();
    assertThat(ended.out()).doesNotContain(key.substring(15, 30));
  }

  @Test
  void an_exported_key_opens_the_repository_on_another_machine() {
    String id = create().id();
    Path kept = folder.resolve("kept.key");
    assertThat(run("key", "export", kept.toString())).isZero();
    assertThat(run("key", "export", kept.toString())).as("never overwritten").isEqualTo(3);
    environment.put("XDG_CONFIG_HOME", folder.resolve("another").toString());
    for (String command : new String[] {"status", "verify", "key show"}) {
      assertThat(run(command.split(" "))).as(command).isEqualTo(2);
      assertThat(ended.err()).contains("no key was found for repository " + id);
    }
    assertThat(run("--passphrase-file", kept.toString(), "status")).as("before").isZero();
    assertThat(run("verify", "--passphrase-file", kept.toString())).as("and after").isZero();
    environment.put("HOLDFAST_PASSPHRASE_FILE", kept.toString());
    assertThat(run("status")).isZero();
  }

  @Test
  void another_passphrase_is_what_opens_it_from_then_on() throws IOException {
    create();
    Path passphrase = file("passphrase", PASSPHRASE + "\n");
    assertThat(run("key", "change")).as("to what?").isEqualTo(2);
    assertThat(run("key", "change", "--new-passphrase-file", passphrase.toString())).isZero();
    assertThat(ended.out() + ended.err()).doesNotContain("horse");
    assertThat(run("status")).as("by the key file, which is no key any more").isEqualTo(2);
    assertThat(ended.err())
        .contains("does not open repository")
        .contains("which takes a passphrase");
    environment.put("HOLDFAST_PASSPHRASE", PASSPHRASE);
    assertThat(run("status")).isZero();
    environment.put("HOLDFAST_PASSPHRASE", "wrong " + PASSPHRASE);
    assertThat(run("status", "--json")).isEqualTo(2);
    assertThat(ended.out() + ended.err()).doesNotContain("horse");
    environment.remove("HOLDFAST_PASSPHRASE");
    Path config = file("holdfast.yaml", "passphraseFile: " + passphrase + "\n");
    assertThat(run("--config", config.toString(), "status")).isZero();
    Path slip = file("slip.yaml", "passphrasFile: " + passphrase + "\n");
    assertThat(run("--config", slip.toString(), "status")).isEqualTo(2);
    assertThat(ended.err()).contains("did you mean \"passphraseFile\"?");
    Path made = folder.resolve("made.key");
    assertThat(
            run(
                "key",
                "change",
                "--passphrase-file",
                passphrase.toString(),
                "--new-key-file",
                made.toString()))
        .isZero();
    assertThat(run("--passphrase-file", made.toString(), "key", "show", "--json")).isZero();
    assertThat(json().get("wrappedBy").asString()).isEqualTo("generatedKey");
  }

  @Test
  void a_key_service_is_asked_by_a_command() throws IOException {
    create();
    // Turns the bytes over, by what every Unix has.
    Path service =
        file(
            "kms",
            "test $1 = wrap -o $1 = unwrap || exit 9\ntr '\\000-\\377' '\\200-\\377\\000-\\177'\n");
    String command = "LC_ALL=C sh " + service;
    assertThat(run("key", "change", "--new-key-command", command)).as(ended.err()).isZero();
    assertThat(run("--key-command", command, "status")).as(ended.err()).isZero();
    environment.put("HOLDFAST_KEY_COMMAND", command);
    assertThat(run("key", "show", "--json")).isZero();
    assertThat(json().get("wrappedBy").asString()).isEqualTo("keyCommand");
    assertThat(json().get("keyFrom").asString())
        .isEqualTo("the key command (HOLDFAST_KEY_COMMAND)");
    assertThat(run("key", "export", folder.resolve("x").toString())).isEqualTo(3);
    assertThat(run("--key-command", "echo no such key >&2; exit 3; #", "status")).isEqualTo(2);
    assertThat(ended.err()).contains("ended with exit code 3: no such key");
    assertThat(run("--key-command", command, "--passphrase-file", "x", "status")).isEqualTo(2);
    noTokenOf("LC_ALL=C\tsh " + service + " ", "the key command (HOLDFAST_KEY_COMMAND)");
    noTokenOf("TOKEN=hvs.123 LC_ALL=C sh " + service + " ", "the key command (HOLDFAST_KEY");
    noTokenOf("env LC_ALL=C T=hvs.123 sh " + service, "the key command `env …` (HOLDFAST_KEY");
    assertThat(run("--key-command", "exit 3 hvs.123; #", "status")).isEqualTo(2);
    assertThat(ended.err())
        .contains("the key command `exit …` (--key-command) ended with exit code 3")
        .doesNotContain("hvs.123");
    assertThat(run("--key-command", command, "--passphrase-file", "x", "status")).isEqualTo(2);
    assertThat(ended.err()).contains("--passphrase-file and --key-command are both given");
  }

  @Test
  void verify_tells_what_one_lost_copy_of_the_wrapped_key_costs() throws IOException {
    create();
    Path document = folder.resolve("repository/holdfast.json");
    Path copy = folder.resolve("repository/holdfast.copy.json");
    String good = Files.readString(copy);
    Files.delete(copy);
    run("verify");
    assertThat(ended.out().replaceAll("\\s+", " "))
        .contains("holdfast.copy.json")
        .contains("the wrapped key is in holdfast.json alone")
        .contains("nothing yet: the other copy is read")
        .doesNotContain("nothing of the repository can be used");
    Files.writeString(copy, good);
    Files.writeString(document, "{}");
    run("verify");
    assertThat(ended.out().replaceAll("\\s+", " "))
        .contains("holdfast.json")
        .contains("nothing yet: the other copy is read");
    assertThat(run("key", "show")).as("as it says").isZero();
    Files.writeString(copy, "{}");
    run("verify");
    assertThat(ended.out().replaceAll("\\s+", " "))
        .contains("nothing of the repository can be used until it is back")
        .doesNotContain("nothing yet");
  }

  private void noTokenOf(String command, String name) {
    environment.put("HOLDFAST_KEY_COMMAND", command);
    for (String[] asked :
        List.of(new String[] {"key", "show"}, new String[] {"key", "show", "--json"})) {
      assertThat(run(asked)).as(ended.err()).isZero();
      assertThat(ended.out()).contains(name);
      assertThat(ended.out() + ended.err()).doesNotContain("hvs.123").doesNotContain("kms");
    }
  }

  @Test
  void an_unencrypted_repository_says_so_and_has_no_key_to_change() {
    KeySources.useInProcess(KeySources.of(environment));
    Repository.create(folder.resolve("repository").toString());
    assertThat(run("key", "show", "--json")).isZero();
    assertThat(json().get("encrypted").asBoolean()).isFalse();
    assertThat(run("key", "change", "--new-key-file", folder.resolve("k").toString())).isEqualTo(3);
    assertThat(folder.resolve("k")).doesNotExist();
    assertThat(run("key", "export", folder.resolve("k").toString())).isEqualTo(3);
    environment.put("HOLDFAST_PASSPHRASE", PASSPHRASE);
    assertThat(run("status")).as("whoever has a key expects encryption").isEqualTo(3);
  }
}
