package dev.holdfast.operations;

import dev.holdfast.damage.CatalogSnapshot;
import dev.holdfast.postgres.Catalog;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.Tid;
import org.jspecify.annotations.Nullable;

/** Hands a recorded catalog to those who follow its rows through the log. */
final class CatalogRows {
  private CatalogRows() {}

  static CatalogSnapshot of(Catalog catalog) {
    Long oldestRunning = catalog.oldestRunning();
    String readThrough = catalog.readThrough();
    CatalogSnapshot snapshot =
        new CatalogSnapshot(
            catalog.position(),
            readThrough == null ? catalog.position() : Lsn.parse(readThrough),
            oldestRunning != null,
            oldestRunning == null ? 0 : oldestRunning);
    for (Catalog.Database database : catalog.databases()) {
      snapshot.addDatabase(
          database.oid(), database.name(), database.readable(), place(database.place()));
      for (Catalog.Schema schema : database.schemas()) {
        snapshot.addSchema(database.oid(), schema.oid(), schema.name(), place(schema.place()));
      }
      for (Catalog.Relation relation : database.relations()) {
        add(snapshot, database, relation);
      }
      for (Catalog.Trigger trigger : database.guardTriggers()) {
        CatalogSnapshot.Place place = place(trigger.place());
        if (place != null) {
          snapshot.addTrigger(
              database.oid(),
              new CatalogSnapshot.TriggerRow(
                  trigger.oid(),
                  trigger.table(),
                  trigger.name(),
                  trigger.function(),
                  trigger.enabled().charAt(0)),
              place);
        }
      }
    }
    return snapshot;
  }

  private static void add(
      CatalogSnapshot snapshot, Catalog.Database database, Catalog.Relation relation) {
    if (relation.file() != 0) {
      snapshot.addCatalogFile(relation.oid(), relation.fileIn(database.oid()));
    }
    if (relation.owner() != 0) {
      snapshot.addOwner(database.oid(), relation.oid(), relation.owner());
    }
    Catalog.ClassRow row = relation.row();
    CatalogSnapshot.Place place = row == null ? null : place(row.place());
    if (row != null && place != null) {
      snapshot.addRelation(
          database.oid(),
          new CatalogSnapshot.RelationRow(
              relation.oid(),
              relation.name(),
              row.schema(),
              row.fileNode(),
              row.tablespace(),
              relation.kind().charAt(0),
              relation.persistence().charAt(0),
              row.toast()),
          place);
    }
    for (int index = 0; index < relation.columns().size(); index++) {
      Catalog.Column column = relation.columns().get(index);
      snapshot.addColumn(
          database.oid(),
          relation.oid(),
          column.number(),
          column.name(),
          index < relation.columnPlaces().size()
              ? place(relation.columnPlaces().get(index))
              : null);
    }
  }

  private static CatalogSnapshot.@Nullable Place place(@Nullable String text) {
    if (text == null) {
      return null;
    }
    Catalog.Place place = Catalog.Place.parse(text);
    return new CatalogSnapshot.Place(
        new Tid(place.block(), place.offset()).pack(), place.length(), place.writer());
  }
}
