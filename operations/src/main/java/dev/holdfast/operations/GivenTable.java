package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.row.TableName;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * A table as an operator names it: {@code TABLE}, {@code SCHEMA.TABLE} or {@code
 * DATABASE.SCHEMA.TABLE}, each part as SQL writes it. What is not quoted is taken as it is spelled,
 * else in lower case, as PostgreSQL folds it.
 *
 * @param text as it was given
 * @param schema null when it was not given
 * @param database null when it was not given
 */
record GivenTable(String text, @Nullable Part database, @Nullable Part schema, Part table) {
  private static final String WHAT = "cannot tell which tables are meant by ";
  private static final String NEXT =
      "write TABLE, SCHEMA.TABLE or DATABASE.SCHEMA.TABLE, with a comma between two; a name that"
          + " holds a dot, a comma or a quote goes in double quotes";

  /**
   * One name.
   *
   * @param quoted whether it stood in double quotes
   */
  record Part(String name, boolean quoted) {
    /** As it is spelled. */
    boolean is(String known) {
      return known.equals(name);
    }

    /** As PostgreSQL would take it. */
    boolean folds(String known) {
      return !quoted && known.equals(name.toLowerCase(Locale.ROOT));
    }
  }

  /**
   * Whether a table of this name may be meant. Unlike where one table has to be chosen, {@code
   * Users} means {@code users} and {@code "Users"} where both exist: quotes say which.
   *
   * @param database null when it is not known: any may be meant then
   */
  boolean means(@Nullable String database, TableName name) {
    return (this.database == null || database == null || meant(this.database, database))
        && (schema == null || meant(schema, name.schema()))
        && meant(table, name.table());
  }

  private static boolean meant(Part part, String known) {
    return part.is(known) || part.folds(known);
  }

  /**
   * Reads a list with commas between.
   *
   * @throws OperatorException USAGE when it is none
   */
  static List<GivenTable> parse(String list) {
    List<GivenTable> tables = new ArrayList<>();
    List<Part> parts = new ArrayList<>();
    int start = 0;
    int at = 0;
    while (true) {
      while (at < list.length() && list.charAt(at) == ' ') {
        at++;
      }
      StringBuilder name = new StringBuilder();
      boolean quoted = at < list.length() && list.charAt(at) == '"';
      at = quoted ? quoted(list, at + 1, name) : plain(list, at, name);
      while (at < list.length() && list.charAt(at) == ' ') {
        at++;
      }
      String read = quoted ? name.toString() : name.toString().strip();
      if (read.isEmpty()) {
        throw unreadable(list, "a name is empty");
      }
      parts.add(new Part(read, quoted));
      boolean ended = at == list.length();
      if (ended || list.charAt(at) == ',') {
        tables.add(of(list.substring(start, at).strip(), parts));
        parts.clear();
        start = at + 1;
      } else if (list.charAt(at) != '.') {
        throw unreadable(list, "something follows a closing quote");
      }
      if (ended) {
        return tables;
      }
      at++;
    }
  }

  private static int plain(String list, int from, StringBuilder name) {
    int at = from;
    while (at < list.length() && list.charAt(at) != '.' && list.charAt(at) != ',') {
      name.append(list.charAt(at++));
    }
    return at;
  }

  private static int quoted(String list, int from, StringBuilder name) {
    for (int at = from; at < list.length(); at++) {
      if (list.charAt(at) != '"') {
        name.append(list.charAt(at));
      } else if (at + 1 < list.length() && list.charAt(at + 1) == '"') {
        name.append('"');
        at++;
      } else {
        return at + 1;
      }
    }
    throw unreadable(list, "a quote is not closed");
  }

  private static GivenTable of(String text, List<Part> parts) {
    return switch (parts.size()) {
      case 1 -> new GivenTable(text, null, null, parts.get(0));
      case 2 -> new GivenTable(text, null, parts.get(0), parts.get(1));
      case 3 -> new GivenTable(text, parts.get(0), parts.get(1), parts.get(2));
      default -> throw unreadable(text, "a name has more than three parts");
    };
  }

  private static OperatorException unreadable(String text, String why) {
    return new OperatorException(Kind.USAGE, WHAT + text, why, NEXT);
  }
}
