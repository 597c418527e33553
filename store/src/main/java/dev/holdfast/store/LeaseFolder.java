package dev.holdfast.store;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectStore;
import java.util.List;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The states of one lease, as objects with rising numbers: the one with the highest number counts.
 * A state is followed by putting the next number, which succeeds for one writer only; so every
 * change is a compare-and-swap by the one condition that each repository has.
 *
 * <p>The newest {@link #KEPT} stay. Who slept while others went on and then puts the number he
 * thinks is next either finds it taken, or puts one that was removed long ago: there are higher
 * ones then, which he sees when he looks, as he must.
 */
final class LeaseFolder {
  private static final Logger LOG = LoggerFactory.getLogger(LeaseFolder.class);
  static final int KEPT = 8;

  /** Removed at a time: what many short lives have left is no reason to keep anybody waiting. */
  static final int CLEANED_MAX = 100;

  private static final String KIND = "lease";
  private static final Pattern STATE = Pattern.compile("[0-9]{12}\\.json");

  private final ObjectStore objects;
  private final String folder;

  /**
   * @param folder ends in a slash
   */
  LeaseFolder(ObjectStore objects, String folder) {
    this.objects = objects;
    this.folder = folder;
  }

  /**
   * One state.
   *
   * @param number 0: there never was one
   * @param document null when there is none, or it does not hold
   * @param numbers of all states that are there
   */
  record State(long number, @Nullable LeaseDocument document, List<Long> numbers) {}

  String location() {
    return objects.location();
  }

  /** The one that counts now. */
  State newest() {
    while (true) {
      List<Long> numbers = numbers();
      long number = numbers.stream().mapToLong(each -> each).max().orElse(0);
      if (number == 0) {
        return new State(0, null, numbers);
      }
      String name = name(number);
      try {
        return new State(
            number,
            JsonDocument.unwrap(name, KIND, objects.get(name), LeaseDocument.class),
            numbers);
      } catch (NoSuchObjectException e) {
        LOG.debug("{} was removed since: there are newer ones", name);
      } catch (DamagedObjectException e) {
        return new State(number, null, numbers);
      }
    }
  }

  List<Long> numbers() {
    return objects.children(folder).stream()
        .filter(name -> STATE.matcher(name).matches())
        .map(name -> Long.valueOf(name.substring(0, 12)))
        .toList();
  }

  /**
   * @throws dev.holdfast.store.objects.ObjectExistsException when somebody else was first
   */
  void put(long number, LeaseDocument document) {
    String name = name(number);
    objects.put(name, JsonDocument.wrap(name, KIND, document));
  }

  /**
   * Removes what is too old to be looked at by anybody, the oldest first, at most {@link
   * #CLEANED_MAX}. Who cannot is none the worse for it: the next renewal tries again.
   */
  void clean(List<Long> numbers, long newest) {
    List<String> old =
        numbers.stream()
            .filter(number -> number <= newest - KEPT)
            .sorted()
            .limit(CLEANED_MAX)
            .map(this::name)
            .toList();
    if (old.isEmpty()) {
      return;
    }
    try {
      objects.deleteAll(old);
    } catch (OperatorException e) {
      LOG.info("old states in {} could not be removed: {}: {}", folder, e.what(), e.why());
    }
  }

  private String name(long number) {
    return folder + "%012d.json".formatted(number);
  }
}
