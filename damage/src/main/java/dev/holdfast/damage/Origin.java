package dev.holdfast.damage;

import dev.holdfast.row.TableName;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * What messages in a transaction say of it that WAL itself does not tell ({@code
 * pg_logical_emit_message(true, 'holdfast', …)}, a JSON object): who did it, by which statement, on
 * which permit, and which keys JSON documents lost. The guard writes them, see {@code
 * holdfast.judge} in its guard.sql. But anybody may write such a message, and anything into it:
 * what is not as expected tells nothing, and everything kept is of bounded length.
 *
 * @param user who; null when not said
 * @param application with what; null when not said
 * @param address from where; null when not said
 * @param statement the first statement that was told; null when none was
 * @param lastStatement the last one
 * @param moreStatements statements told after the first; the same one again in a row counts once
 * @param permit number of the permit that was used; null when none was told
 * @param losses of JSON keys, one for each column
 * @param notes what else somebody who looks for damage has to know
 * @param settings what Holdfast changed in the guard, told by itself; sentences without a full stop
 * @param own whether Holdfast itself changed the guard here: then that is nobody's tampering
 */
record Origin(
    @Nullable String user,
    @Nullable String application,
    @Nullable String address,
    @Nullable String statement,
    @Nullable String lastStatement,
    long moreStatements,
    @Nullable Long permit,
    List<Loss> losses,
    List<String> notes,
    List<String> settings,
    boolean own) {
  /** The prefix of such messages. */
  static final String PREFIX = "holdfast";

  static final Origin UNKNOWN =
      new Origin(null, null, null, null, null, 0, null, List.of(), List.of(), List.of(), false);

  private static final JsonMapper JSON = new JsonMapper();

  /** Characters: PostgreSQL's own names have at most 63 bytes, keys may be longer. */
  private static final int NAME_MAX = 200;

  /** Characters: as much of a statement as the guard tells. */
  private static final int STATEMENT_MAX = 4_000;

  private static final int LOSSES_MAX = 100;
  private static final int NOTES_MAX = 10;

  /** An environment sets every rule. */
  private static final int SETTINGS_MAX = 30;

  /**
   * What the guard's SQL and its installer say of themselves when they write to the guard's own
   * tables and triggers; what the guard judges has the statement here, in capitals.
   */
  private static final Set<String> OWN_ACTS =
      Set.of("mode", "environment", "exception", "install", "uninstall", "alive");

  /** What one column of one table lost. */
  record Loss(@Nullable String database, TableName table, JsonLoss json) {
    private boolean isOfTheColumn(Loss other) {
      return table.equals(other.table) && json.column().equals(other.json.column());
    }
  }

  /** Reads a message; one that is none of ours tells nothing. */
  static Origin of(byte[] message) {
    try {
      JsonNode said = JSON.readTree(message);
      String statement = text(said, "statement", STATEMENT_MAX);
      return new Origin(
          text(said, "user", NAME_MAX),
          text(said, "application", NAME_MAX),
          text(said, "address", NAME_MAX),
          statement,
          statement,
          0,
          number(said, "permit"),
          losses(said),
          notes(said),
          settings(said),
          OWN_ACTS.contains(String.valueOf(text(said, "act", NAME_MAX))));
    } catch (JacksonException e) {
      return UNKNOWN;
    }
  }

  /** What this one says, and then a later one: of who it was the later one is believed. */
  Origin and(Origin later) {
    return together(later, later, this);
  }

  /** What this one says, and a part of the same transaction: of who it was this is believed. */
  Origin with(Origin part) {
    return together(part, this, part);
  }

  private Origin together(Origin next, Origin believed, Origin other) {
    if (next.equals(UNKNOWN)) {
      return this;
    }
    if (equals(UNKNOWN)) {
      return next;
    }
    boolean again = next.statement == null || next.statement.equals(lastStatement);
    return new Origin(
        believed.user == null ? other.user : believed.user,
        believed.application == null ? other.application : believed.application,
        believed.address == null ? other.address : believed.address,
        statement == null ? next.statement : statement,
        next.lastStatement == null ? lastStatement : next.lastStatement,
        moreStatements + next.moreStatements + (statement == null || again ? 0 : 1),
        permit == null ? next.permit : permit,
        together(losses, next.losses),
        notesTogether(notes, next.notes, NOTES_MAX),
        notesTogether(settings, next.settings, SETTINGS_MAX),
        own || next.own);
  }

  private static List<Loss> together(List<Loss> some, List<Loss> more) {
    if (more.isEmpty()) {
      return some;
    }
    List<Loss> all = new ArrayList<>(some);
    for (Loss loss : more) {
      int index = 0;
      while (index < all.size() && !all.get(index).isOfTheColumn(loss)) {
        index++;
      }
      if (index < all.size()) {
        Loss known = all.get(index);
        all.set(index, new Loss(known.database, known.table, known.json.and(loss.json)));
      } else if (all.size() < LOSSES_MAX) {
        all.add(loss);
      }
    }
    return List.copyOf(all);
  }

  private static List<String> notesTogether(List<String> some, List<String> more, int max) {
    if (some.containsAll(more)) {
      return some;
    }
    List<String> all = new ArrayList<>(some);
    for (String note : more) {
      if (!all.contains(note) && all.size() < max) {
        all.add(note);
      }
    }
    return List.copyOf(all);
  }

  /** Whether something was lost that no count of rows shows. */
  boolean tellsOfLoss() {
    return !losses.isEmpty() || !notes.isEmpty();
  }

  /** What the documents of this table lost, column by column. */
  List<JsonLoss> lossesOf(String database, TableName... names) {
    return losses.stream()
        .filter(loss -> loss.database == null || loss.database.equals(database))
        .filter(loss -> List.of(names).contains(loss.table))
        .map(Loss::json)
        .toList();
  }

  private static List<Loss> losses(JsonNode said) {
    List<Loss> losses = new ArrayList<>();
    if ("json-keys-lost".equals(text(said, "rule", NAME_MAX))) {
      for (JsonNode table : list(said, "tables")) {
        Loss loss = loss(text(said, "database", NAME_MAX), table);
        if (loss != null && losses.size() < LOSSES_MAX) {
          losses.add(loss);
        }
      }
    }
    return List.copyOf(losses);
  }

  private static @Nullable Loss loss(@Nullable String database, JsonNode said) {
    String schema = text(said, "schema", NAME_MAX);
    String table = text(said, "table", NAME_MAX);
    String column = text(said, "column", NAME_MAX);
    Long rows = number(said, "rows");
    List<String> keys = new ArrayList<>();
    for (JsonNode key : list(said, "keys")) {
      if (key.isString()) {
        keys.add(whole(key.stringValue(), NAME_MAX));
      }
    }
    if (schema == null || table == null || column == null || rows == null || keys.isEmpty()) {
      return null;
    }
    Long before = number(said, "keysBefore");
    JsonNode exact = said.get("exact");
    return new Loss(
        database,
        new TableName(schema, table),
        new JsonLoss(
            column,
            keys,
            (int) Math.min(before == null ? 0 : before, Integer.MAX_VALUE),
            rows,
            exact != null && exact.isBoolean() && exact.booleanValue()));
  }

  /** The guard's own safety was at stake, and nothing stopped it. */
  private static List<String> notes(JsonNode said) {
    List<String> notes = new ArrayList<>();
    if ("guard-tampering".equals(text(said, "rule", NAME_MAX))) {
      for (JsonNode object : list(said, "tables")) {
        String what = text(object, "what", NAME_MAX);
        if (what != null && notes.size() < NOTES_MAX) {
          notes.add("the guard was weakened: " + what);
        }
      }
    }
    return List.copyOf(notes);
  }

  private static List<String> settings(JsonNode said) {
    String act = text(said, "act", NAME_MAX);
    String database = text(said, "database", NAME_MAX);
    String where = database == null ? "" : " in database " + database;
    String setting =
        switch (String.valueOf(act)) {
          case "mode" ->
              "the guard's rule %s was set to %s%s"
                  .formatted(text(said, "rule", NAME_MAX), text(said, "mode", NAME_MAX), where);
          case "environment" ->
              "the guard's environment was set to %s%s"
                  .formatted(text(said, "environment", NAME_MAX), where);
          case "exception" ->
              "an exception of the guard's rule %s was %s%s"
                  .formatted(text(said, "rule", NAME_MAX), text(said, "done", NAME_MAX), where);
          case "install" -> "the guard was installed or brought up to date" + where;
          case "uninstall" -> "the guard was being taken out" + where;
          default -> null;
        };
    return setting == null ? List.of() : List.of(setting);
  }

  private static Iterable<JsonNode> list(JsonNode object, String name) {
    JsonNode value = object.get(name);
    return value != null && value.isArray() ? value : List.of();
  }

  private static @Nullable Long number(JsonNode object, String name) {
    JsonNode value = object.get(name);
    return value != null
            && value.isIntegralNumber()
            && value.canConvertToLong()
            && value.longValue() >= 0
        ? value.longValue()
        : null;
  }

  private static @Nullable String text(JsonNode object, String name, int max) {
    JsonNode value = object.get(name);
    return value != null && value.isString() ? whole(value.stringValue(), max) : null;
  }

  /** The beginning, with nothing in it that cannot be written as UTF-8. */
  private static String whole(String text, int max) {
    String beginning = text.length() <= max ? text : text.substring(0, max - 1) + "…";
    // Half a surrogate pair, from an escape or from cutting, becomes a question mark.
    return new String(beginning.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8);
  }
}
