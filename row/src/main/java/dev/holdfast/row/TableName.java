package dev.holdfast.row;

/**
 * A table, by schema and name, spelled as the catalog has them (not quoted, not folded).
 *
 * @param schema the schema (PostgreSQL) or database (MongoDB)
 * @param table the table or collection
 */
public record TableName(String schema, String table) implements Comparable<TableName> {
  /** As SQL needs it: both parts quoted. */
  public String quoted() {
    return quote(schema) + "." + quote(table);
  }

  /** Any identifier as SQL needs it: in double quotes, those inside doubled. */
  public static String quote(String identifier) {
    return '"' + identifier.replace("\"", "\"\"") + '"';
  }

  @Override
  public int compareTo(TableName other) {
    int bySchema = schema.compareTo(other.schema);
    return bySchema != 0 ? bySchema : table.compareTo(other.table);
  }

  /** For people: {@code public.users}. */
  @Override
  public String toString() {
    return schema + "." + table;
  }
}
