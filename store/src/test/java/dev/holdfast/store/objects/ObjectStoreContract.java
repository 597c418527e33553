package dev.holdfast.store.objects;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What every {@link ObjectStore} promises. */
public abstract class ObjectStoreContract {
  /** An empty store. */
  protected abstract ObjectStore store();

  @Test
  void what_was_put_is_read_back_exactly() {
    byte[] all = new byte[256 * 300];
    for (int i = 0; i < all.length; i++) {
      all[i] = (byte) i;
    }
    store().put("a/b/c", all);
    assertThat(store().get("a/b/c")).isEqualTo(all);
    assertThat(store().exists("a/b/c")).isTrue();
  }

  @Test
  void an_empty_object_is_an_object() {
    store().put("empty", new byte[0]);
    assertThat(store().exists("empty")).isTrue();
    assertThat(store().get("empty")).isEmpty();
  }

  @Test
  void putting_a_name_twice_fails_and_leaves_the_first() {
    store().put("a", bytes("first"));
    assertThatThrownBy(() -> store().put("a", bytes("second")))
        .isInstanceOf(ObjectExistsException.class)
        .hasMessage(
            "cannot store a in "
                + store().location()
                + ": it is already there and is never overwritten; next: see whether another"
                + " Holdfast writes to the same repository");
    assertThat(store().get("a")).isEqualTo(bytes("first"));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 299, 70_000, 76_800})
  void of_an_array_the_first_bytes_are_put_and_no_others(int length) {
    byte[] array = new byte[76_800];
    for (int i = 0; i < array.length; i++) {
      array[i] = (byte) (i * 31 + i / 256);
    }
    byte[] expected = Arrays.copyOf(array, length);
    store().put("a/b", array, length);
    Arrays.fill(array, (byte) 0); // the array is the caller's own again
    assertThat(store().get("a/b")).isEqualTo(expected);
    assertThat(store().get("a/b", Math.max(0, length - 3), 100))
        .isEqualTo(Arrays.copyOfRange(expected, Math.max(0, length - 3), length));
    assertThat(store().list("a/"))
        .extracting(ObjectStore.StoredObject::bytes)
        .containsExactly((long) length);
  }

  @Test
  void putting_the_first_bytes_under_a_name_that_is_there_fails_and_leaves_it() {
    store().put("a", bytes("first of all"), 5);
    assertThatThrownBy(() -> store().put("a", bytes("second"), 3))
        .isInstanceOf(ObjectExistsException.class)
        .hasMessageStartingWith("cannot store a in " + store().location());
    assertThat(store().get("a")).isEqualTo(bytes("first"));
    store().replace("a", bytes("third"));
    assertThatThrownBy(() -> store().put("a", bytes("third"), 5))
        .isInstanceOf(ObjectExistsException.class);
    assertThat(store().get("a")).isEqualTo(bytes("third"));
  }

  @Test
  void replacing_works_with_and_without_an_older_object() {
    store().replace("a", bytes("first"));
    store().replace("a", bytes("2nd"));
    assertThat(store().get("a")).isEqualTo(bytes("2nd"));
  }

  @Test
  void an_object_in_pieces_appears_at_its_commit() {
    try (ObjectWriter writer = store().create("x/y")) {
      writer.write(bytes("..hel"), 2, 3);
      assertThat(store().exists("x/y")).isFalse();
      assertThat(store().list("")).isEmpty();
      writer.write(bytes("lo"), 0, 2);
      writer.commit();
    }
    assertThat(store().get("x/y")).isEqualTo(bytes("hello"));
  }

  @Test
  void an_object_that_is_not_committed_never_appears() {
    try (ObjectWriter writer = store().create("x/y")) {
      writer.write(bytes("hello"), 0, 5);
    }
    assertThat(store().exists("x/y")).isFalse();
    assertThat(store().list("")).isEmpty();
    store().put("x/y", bytes("later"));
    assertThat(store().get("x/y")).isEqualTo(bytes("later"));
  }

  @Test
  void committing_a_name_that_came_meanwhile_fails_and_leaves_it() {
    try (ObjectWriter writer = store().create("x")) {
      writer.write(bytes("slow"), 0, 4);
      store().put("x", bytes("fast"));
      assertThatThrownBy(writer::commit).isInstanceOf(ObjectExistsException.class);
    }
    assertThat(store().get("x")).isEqualTo(bytes("fast"));
  }

  @Test
  void of_many_writers_of_one_name_exactly_one_wins() throws Exception {
    var start = new CountDownLatch(1);
    try (var threads = Executors.newFixedThreadPool(8)) {
      var puts =
          IntStream.range(0, 8)
              .mapToObj(i ->
                  threads.submit(
                      (Callable<Boolean>)
                          () -> {
                            start.await();
                            try {
                              store().put("raced/for", new byte[] {(byte) i});
                              return true;
                            } catch (ObjectExistsException e) {
                              return false;
                            }
                          }))
              .toList();
      start.countDown();
      int winners = 0;
      int winner = -1;
      for (int i = 0; i < puts.size(); i++) {
        if (puts.get(i).get()) {
          winners++;
          winner = i;
        }
      }
      assertThat(winners).isEqualTo(1);
      assertThat(store().get("raced/for")).containsExactly(winner);
    }
  }

  @Test
  void a_reader_beside_replacements_sees_one_whole_version() throws Exception {
    byte[] ones = new byte[100_000];
    Arrays.fill(ones, (byte) 1);
    store().replace("a/v", new byte[100_000]);
    try (var threads = Executors.newSingleThreadExecutor()) {
      var writing =
          threads.submit(() -> {
            for (int i = 0; i < 50; i++) {
              store().replace("a/v", i % 2 == 0 ? ones : new byte[100_000]);
            }
          });
      while (!writing.isDone()) {
        byte[] seen = store().get("a/v");
        assertThat(seen).hasSize(100_000);
        assertThat(seen).containsOnly(seen[0]);
      }
      writing.get();
    }
  }

  @Test
  void a_missing_object_is_told_by_its_name() {
    store().put("another", bytes("x"));
    for (Runnable read :
        new Runnable[] {() -> store().get("no/such"), () -> store().get("no/such", 0, 1)}) {
      assertThatThrownBy(read::run)
          .isInstanceOf(NoSuchObjectException.class)
          .hasMessageStartingWith("cannot read no/such in " + store().location());
    }
    assertThat(store().exists("no/such")).isFalse();
  }

  @Test
  void a_range_ends_where_the_object_ends() {
    store().put("a", bytes("0123456789"));
    assertThat(store().get("a", 0, 4)).isEqualTo(bytes("0123"));
    assertThat(store().get("a", 7, 100)).isEqualTo(bytes("789"));
    assertThat(store().get("a", 10, 5)).isEmpty();
    assertThat(store().get("a", 99, 5)).isEmpty();
  }

  @Test
  void a_list_is_sorted_and_holds_what_is_below_the_prefix_only() {
    for (String name : new String[] {"b/2", "b/1/x", "bb/1", "a", "b/10"}) {
      store().put(name, bytes(name));
    }
    assertThat(store().list("b/"))
        .extracting(ObjectStore.StoredObject::name)
        .containsExactly("b/1/x", "b/10", "b/2");
    assertThat(store().list("b/"))
        .extracting(ObjectStore.StoredObject::bytes)
        .containsExactly(5L, 4L, 3L);
    assertThat(store().list("")).hasSize(5);
    assertThat(store().list("none/")).isEmpty();
    assertThat(store().folders("")).containsExactly("b", "bb");
    assertThat(store().folders("b/")).containsExactly("1");
    assertThat(store().folders("none/")).isEmpty();
    assertThat(store().children("")).containsExactly("a", "b", "bb");
    assertThat(store().children("b/")).containsExactly("1", "10", "2");
    assertThat(store().children("none/")).isEmpty();
  }

  @Test
  void a_deleted_object_is_gone_and_so_is_its_folder() {
    store().put("a/b/c", bytes("x"));
    store().delete("a/b/c");
    store().delete("a/b/c");
    assertThat(store().exists("a/b/c")).isFalse();
    assertThat(store().folders("")).isEmpty();
    store().put("a/b/c", bytes("y"));
    assertThat(store().get("a/b/c")).isEqualTo(bytes("y"));
  }

  @Test
  void of_many_that_are_deleted_at_once_all_go_and_nothing_beside_them() {
    for (int i = 0; i < 40; i++) {
      store().put("a/b/" + i, bytes("b" + i));
      store().put("a/c/" + i, bytes("c" + i));
    }
    store().put("a/b-beside", bytes("kept"));
    var gone = new ArrayList<>(List.of("a/absent", "none/at/all", "a/b/1", "a/b/1"));
    IntStream.range(0, 40).forEach(i -> gone.add("a/b/" + i));
    gone.add("a/c/7");

    store().deleteAll(gone);

    assertThat(store().folders("a/")).containsExactly("c");
    assertThat(store().children("a/")).containsExactly("b-beside", "c");
    assertThat(store().list("a/c/")).hasSize(39);
    assertThat(store().exists("a/c/7")).isFalse();
    assertThat(store().get("a/c/8")).isEqualTo(bytes("c8"));
    assertThat(store().get("a/b-beside")).isEqualTo(bytes("kept"));
    store().deleteAll(gone); // those that are absent, too
    store().deleteAll(List.of());
    store().deleteAll(List.of("a/b-beside"));
    assertThat(store().children("a/")).containsExactly("c");
  }

  @Test
  void a_name_whose_object_was_deleted_with_others_is_free_again() {
    store().put("a/1", bytes("before"));
    store().put("a/2", bytes("beside"));
    assertThat(store().get("a/1", 2, 3)).isEqualTo(bytes("for")); // who keeps pieces lets them go
    store().deleteAll(List.of("a/1", "a/2"));
    assertThatThrownBy(() -> store().get("a/1", 2, 3)).isInstanceOf(NoSuchObjectException.class);
    store().put("a/1", bytes("another"), 6);
    assertThat(store().get("a/1", 2, 3)).isEqualTo(bytes("oth"));
    assertThat(store().get("a/1")).isEqualTo(bytes("anothe"));
  }

  @Test
  void writers_and_deleters_of_many_in_one_folder_do_not_disturb_each_other() throws Exception {
    try (var threads = Executors.newFixedThreadPool(4)) {
      var work =
          IntStream.range(0, 4)
              .mapToObj(t ->
                  threads.submit(() -> {
                    for (int i = 0; i < 10; i++) {
                      List<String> names =
                          List.of("shared/folder/" + t, "shared/" + t, "shared/folder/x" + t);
                      names.forEach(name -> store().put(name, bytes(name + "..."), name.length()));
                      names.forEach(
                          name -> assertThat(store().get(name)).as(name).isEqualTo(bytes(name)));
                      store().deleteAll(names);
                    }
                  }))
              .toList();
      for (var one : work) {
        one.get();
      }
    }
    assertThat(store().list("")).isEmpty();
    assertThat(store().children("")).isEmpty();
  }

  @Test
  void writers_and_deleters_of_one_folder_do_not_disturb_each_other() throws Exception {
    try (var threads = Executors.newFixedThreadPool(4)) {
      var work =
          IntStream.range(0, 4)
              .mapToObj(t ->
                  threads.submit(() -> {
                    for (int i = 0; i < 100; i++) {
                      String name = "shared/folder/" + t;
                      store().put(name, bytes(name));
                      store().delete(name);
                    }
                  }))
              .toList();
      for (var one : work) {
        one.get();
      }
    }
    assertThat(store().list("")).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "/",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "a/",
        "a/.",
        ".hidden",
        "a/.tmp-1",
        "a b",
        "a\\b",
        "a\nb",
        "ä",
        "~",
        "C:x",
        "a\0b"
      })
  void a_hostile_name_is_refused(String name) {
    assertThatThrownBy(() -> store().put(name, bytes("x")))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> store().replace(name, bytes("x")))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> store().create(name).close())
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> store().get(name)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> store().exists(name)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> store().delete(name)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> store().put(name, bytes("x"), 1))
        .isInstanceOf(IllegalArgumentException.class);
    store().put("kept", bytes("x"));
    assertThatThrownBy(() -> store().deleteAll(List.of("kept", "absent", name)))
        .isInstanceOf(IllegalArgumentException.class);
    assertThat(store().exists("kept")).as("nothing goes when a name is refused").isTrue();
  }

  @Test
  void a_prefix_ends_in_a_slash() {
    assertThatThrownBy(() -> store().list("a")).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> store().list("../")).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> store().children("a")).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> store().folders("a")).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void the_names_of_failures_carry_their_kind() {
    store().put("a", bytes("x"));
    assertThatThrownBy(() -> store().put("a", bytes("x")))
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.REFUSED);
    assertThatThrownBy(() -> store().get("b"))
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.DAMAGED_DATA);
  }

  public static byte[] bytes(String text) {
    return text.getBytes(UTF_8);
  }
}
