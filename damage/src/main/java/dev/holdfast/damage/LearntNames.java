package dev.holdfast.damage;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The recorded catalog, and what the log itself told since: which new file a truncated or rewritten
 * table got. Without it a table would lose its name between such a statement and the next recording
 * of the catalog.
 */
final class LearntNames implements RelationNames {
  private final RelationNames recorded;
  private final Map<RelFile, Relation> learnt = new HashMap<>();

  LearntNames(RelationNames recorded) {
    this.recorded = recorded;
  }

  void learn(Map<RelFile, Relation> newFiles) {
    learnt.putAll(newFiles);
  }

  void forget(RelFile dropped) {
    learnt.remove(dropped);
  }

  @Override
  public @Nullable Relation byFile(RelFile file, Lsn at) {
    Relation relation = recorded.byFile(file, at);
    return relation != null ? relation : learnt.get(file);
  }

  @Override
  public @Nullable Relation byOid(long database, long oid, Lsn at) {
    return recorded.byOid(database, oid, at);
  }

  @Override
  public @Nullable String database(long oid, Lsn at) {
    return recorded.database(oid, at);
  }

  @Override
  public List<Relation> tablesOf(long database, Lsn at) {
    return recorded.tablesOf(database, at);
  }
}
