package dev.holdfast.postgres;

import dev.holdfast.row.TableName;
import java.util.List;

/**
 * A table that holds rows, or whose partitions do, as one side has it.
 *
 * @param columns that hold values, by name; virtual ones are left out
 * @param key the primary key's columns, in its order; empty where there is none
 * @param leaves what holds its rows: itself, or its partitions
 * @param foreignPartitions partitions on other servers, which are not read
 */
public record ComparedTable(
    long oid,
    TableName name,
    boolean partitioned,
    List<Column> columns,
    List<String> key,
    List<Leaf> leaves,
    List<String> foreignPartitions) {
  /**
   * One column.
   *
   * @param type as format_type has it, without a modifier: {@code integer}, {@code uuid}
   */
  public record Column(String name, String type) {}

  /**
   * What holds rows.
   *
   * @param quoted its name as SQL needs it
   * @param fileNumber changes when it is truncated or rewritten
   */
  public record Leaf(long oid, String quoted, long bytes, long fileNumber) {}

  /** Copies. */
  public ComparedTable {
    columns = List.copyOf(columns);
    key = List.copyOf(key);
    leaves = List.copyOf(leaves);
    foreignPartitions = List.copyOf(foreignPartitions);
  }

  /** How large it is on disk, without what is TOASTed. */
  public long bytes() {
    return leaves.stream().mapToLong(Leaf::bytes).sum();
  }

  /** The rows of all its leaves, as FROM needs it. */
  String from() {
    return partitioned ? name.quoted() : "ONLY " + name.quoted();
  }
}
