package dev.holdfast.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Map;
import org.junit.jupiter.api.Test;

/** Damage of an encrypted repository is found as that of any other. */
final class EncryptedDamageTest extends DamageTest {
  @Override
  Repository.Creation creation() {
    return Repository.Creation.USUAL;
  }

  @Test
  @Override
  void an_edited_document_is_found() {
    String name = "clusters/acme/cluster.json";
    disk.replace(name, JsonDocument.wrap(name, "cluster", Samples.cluster("acme", "1")));
    assertThatThrownBy(() -> Repository.open(disk, keys()).cluster("acme"))
        .hasMessageContaining("it is not encrypted, as everything in this repository is");
  }

  @Test
  @Override
  void a_document_of_another_kind_is_found() {
    for (String name : new String[] {"holdfast.json", "holdfast.copy.json"}) {
      disk.replace(name, JsonDocument.wrap(name, "cluster", Map.of("id", "x")));
    }
    assertThatThrownBy(() -> Repository.open(disk, keys()))
        .hasMessageContaining("it is a document \"cluster\" where \"repository\" is expected");
  }

  @Test
  void with_the_document_that_holds_the_key_gone_its_copy_opens_it_and_puts_it_back() {
    byte[] bad = disk.get("holdfast.json");
    bad[bad.length / 2] ^= 1;
    disk.replace("holdfast.json", bad);
    Repository repository = Repository.open(disk, keys());
    assertThat(repository.verify()).extracting(Problem::object).containsExactly("holdfast.json");
    repository.register(Samples.cluster("acme", "7443211234567890123"));
    assertThat(Repository.open(disk, keys()).verify()).isEmpty();
    disk.delete("holdfast.json");
    assertThat(Repository.open(disk, keys()).verify())
        .extracting(Problem::object)
        .containsExactly("holdfast.json");
    disk.delete("holdfast.copy.json");
    var verification = new Verification(disk, keys());
    Verification.Result lost =
        verification.run(null, new Verification.Reading(1, 0, 1), Verification.Listener.SILENT);
    assertThat(lost.all()).extracting(Problem::object).containsExactly("holdfast.json");
  }
}
