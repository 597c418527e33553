package dev.holdfast.postgres;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * What {@code synchronous_standby_names} says: which standbys' acknowledgements commits wait for
 * (PostgreSQL 18 documentation, 19.6.2; "replication/syncrep_gram.y"). Immutable.
 *
 * @param method {@code FIRST} or {@code ANY}; {@code FIRST} also where only names are listed
 * @param needed how many have to acknowledge
 * @param names the candidates, in order; empty: commits wait for nobody
 */
public record SynchronousStandbys(String method, int needed, List<String> names) {
  private static final Pattern NUMBERED =
      Pattern.compile("\\s*(?:(FIRST|ANY)\\s*)?(\\d+)\\s*\\((.*)\\)\\s*", Pattern.CASE_INSENSITIVE);
  private static final Pattern NAME =
      Pattern.compile("\\s*(?:\"((?:[^\"]|\"\")*)\"|([^\",\\s]+))\\s*");

  /** Nobody: commits wait for the server's own disk only. */
  public static final SynchronousStandbys NONE = new SynchronousStandbys("FIRST", 0, List.of());

  /** Takes the names as they are now. */
  public SynchronousStandbys {
    names = List.copyOf(names);
  }

  /**
   * Reads the setting's value, which the server has accepted.
   *
   * @throws IllegalArgumentException when it is not understood
   */
  public static SynchronousStandbys parse(String value) {
    if (value.isBlank()) {
      return NONE;
    }
    Matcher numbered = NUMBERED.matcher(value);
    if (!numbered.matches()) {
      return new SynchronousStandbys("FIRST", 1, names(value, value));
    }
    @Nullable String method = numbered.group(1);
    return new SynchronousStandbys(
        method == null || method.equalsIgnoreCase("first") ? "FIRST" : "ANY",
        Integer.parseInt(numbered.group(2)),
        names(numbered.group(3), value));
  }

  private static List<String> names(String list, String value) {
    List<String> names = new ArrayList<>();
    Matcher name = NAME.matcher(list);
    int at = 0;
    while (name.find(at) && name.start() == at) {
      names.add(name.group(1) == null ? name.group(2) : name.group(1).replace("\"\"", "\""));
      at = name.end();
      if (at == list.length()) {
        return names;
      }
      if (list.charAt(at++) != ',') {
        break;
      }
    }
    throw new IllegalArgumentException("synchronous_standby_names is " + value);
  }

  /** Whether it names this standby itself; {@code *} names nobody. */
  public boolean lists(String standby) {
    return names.stream().anyMatch(name -> name.equalsIgnoreCase(standby));
  }

  /** Whether this standby is among those whose acknowledgement counts. */
  public boolean counts(String standby) {
    return lists(standby) || names.contains("*");
  }

  /** Whether commits wait for ever when this standby is away, whatever others do. */
  public boolean cannotDoWithout(String standby) {
    return lists(standby) && !names.contains("*") && without(standby).names.size() < needed;
  }

  /** Without that standby; as many of the others as there are have to acknowledge. */
  public SynchronousStandbys without(String standby) {
    List<String> others = names.stream().filter(name -> !name.equalsIgnoreCase(standby)).toList();
    return others.isEmpty()
        ? NONE
        : new SynchronousStandbys(method, Math.min(needed, others.size()), others);
  }

  /** As the setting is written, {@code ANY 1 ("holdfast:acme", standby2)}. */
  @Override
  public String toString() {
    if (names.isEmpty()) {
      return "";
    }
    return names.stream()
        .map(name -> name.equals("*") ? name : '"' + name.replace("\"", "\"\"") + '"')
        .collect(Collectors.joining(", ", method + " " + needed + " (", ")"));
  }
}
