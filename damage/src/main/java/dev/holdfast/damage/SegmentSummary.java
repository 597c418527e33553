package dev.holdfast.damage;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one WAL segment did, in a few hundred bytes: enough to answer what was destroyed and when
 * without reading the segment.
 *
 * <p>A record counts for the segment that holds its last byte.
 *
 * @param from position of the segment's first byte
 * @param to position just past its last byte
 * @param openSince where reading must start to know, at {@code to}, everything that open
 *     transactions did so far: the first record of the oldest of them, or of the record that is cut
 *     by the segment's end; {@code to} when there is none
 * @param commits number of commits
 * @param firstCommit where the first of them starts; null without one
 * @param lastCommit where the last of them starts; null without one
 * @param earliestCommitAt the earliest time of a commit; times are not in the order of the log
 * @param latestCommitAt the latest time of a commit
 * @param extensionRecords records of extensions' own resource managers: what they did is not known
 * @param minimal whether the server was told to write too little for backups (wal_level=minimal)
 * @param relations what committed transactions did to files of users' relations, TOAST included
 * @param destructive the transactions committed here that may have destroyed something; of very
 *     many the worst
 * @param moreDestructive whether there are more of them than are kept: the log itself has all
 * @param restorePoints points named by pg_create_restore_point
 */
public record SegmentSummary(
    Lsn from,
    Lsn to,
    Lsn openSince,
    long commits,
    @Nullable Lsn firstCommit,
    @Nullable Lsn lastCommit,
    @Nullable Instant earliestCommitAt,
    @Nullable Instant latestCommitAt,
    long extensionRecords,
    boolean minimal,
    List<RelationCounts> relations,
    List<TransactionDamage> destructive,
    boolean moreDestructive,
    List<RestorePoint> restorePoints) {

  /** Rows that transactions committed in a segment wrote to one file. */
  public record RelationCounts(RelFile file, long inserted, long updated, long deleted) {}

  /** A named point, where its record starts. */
  public record RestorePoint(Lsn lsn, Instant at, String name) {}

  private static final int FORMAT = 3;

  /** Without what Holdfast set in the guard. */
  private static final int FORMAT_SECOND = 2;

  /** Without what the guard tells, too. */
  private static final int FORMAT_FIRST = 1;

  /** As bytes: see the repository's FORMAT.md. */
  public byte[] encode() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (DataOutputStream out = new DataOutputStream(bytes)) {
      out.writeByte(FORMAT);
      write(out, from);
      write(out, to);
      write(out, openSince);
      out.writeLong(commits);
      if (commits > 0) {
        write(out, known(firstCommit));
        write(out, known(lastCommit));
        write(out, known(earliestCommitAt));
        write(out, known(latestCommitAt));
      }
      out.writeLong(extensionRecords);
      out.writeBoolean(minimal);
      out.writeInt(relations.size());
      for (RelationCounts counts : relations) {
        write(out, counts.file);
        out.writeLong(counts.inserted);
        out.writeLong(counts.updated);
        out.writeLong(counts.deleted);
      }
      out.writeInt(destructive.size());
      for (TransactionDamage damage : destructive) {
        write(out, damage);
      }
      out.writeBoolean(moreDestructive);
      out.writeInt(restorePoints.size());
      for (RestorePoint point : restorePoints) {
        write(out, point.lsn);
        write(out, point.at);
        out.writeUTF(point.name);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e); // writing to memory does not fail
    }
    return bytes.toByteArray();
  }

  /**
   * Reads what {@link #encode} wrote.
   *
   * @throws IllegalArgumentException when it is something else
   */
  public static SegmentSummary decode(byte[] bytes) {
    try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes))) {
      int format = in.readUnsignedByte();
      if (format < FORMAT_FIRST || format > FORMAT) {
        throw new IllegalArgumentException("a summary of format " + format + ", not " + FORMAT);
      }
      Lsn from = lsn(in);
      Lsn to = lsn(in);
      Lsn openSince = lsn(in);
      long commits = in.readLong();
      boolean any = commits > 0;
      SegmentSummary summary =
          new SegmentSummary(
              from,
              to,
              openSince,
              commits,
              any ? lsn(in) : null,
              any ? lsn(in) : null,
              any ? instant(in) : null,
              any ? instant(in) : null,
              in.readLong(),
              in.readBoolean(),
              list(
                  in,
                  () -> new RelationCounts(file(in), in.readLong(), in.readLong(), in.readLong())),
              list(in, () -> damage(in, format)),
              in.readBoolean(),
              list(in, () -> new RestorePoint(lsn(in), instant(in), in.readUTF())));
      if (in.read() >= 0) {
        throw new IllegalArgumentException("a summary goes on past its end");
      }
      return summary;
    } catch (IOException e) {
      throw new IllegalArgumentException("a summary ends too early", e);
    }
  }

  private static void write(DataOutputStream out, TransactionDamage damage) throws IOException {
    out.writeInt((int) damage.xid());
    out.writeInt(damage.subtransactions().size());
    for (long xid : damage.subtransactions()) {
      out.writeInt((int) xid);
    }
    write(out, damage.firstLsn());
    write(out, damage.commitLsn());
    write(out, damage.commitEnd());
    write(out, damage.targetLsn());
    write(out, damage.committedAt());
    out.writeUTF(damage.severity().name());
    text(out, damage.user());
    text(out, damage.application());
    text(out, damage.address());
    text(out, damage.statement());
    out.writeLong(damage.moreStatements());
    out.writeLong(damage.permit() == null ? -1 : damage.permit());
    out.writeInt(damage.notes().size());
    for (String note : damage.notes()) {
      out.writeUTF(note);
    }
    out.writeInt(damage.guardSettings().size());
    for (String setting : damage.guardSettings()) {
      out.writeUTF(setting);
    }
    out.writeBoolean(damage.prepared());
    out.writeInt(damage.tables().size());
    for (TableDamage table : damage.tables()) {
      table.write(out);
    }
  }

  private static TransactionDamage damage(DataInputStream in, int format) throws IOException {
    boolean told = format > FORMAT_FIRST;
    return new TransactionDamage(
        Integer.toUnsignedLong(in.readInt()),
        list(in, () -> Integer.toUnsignedLong(in.readInt())),
        lsn(in),
        lsn(in),
        lsn(in),
        lsn(in),
        instant(in),
        Severity.valueOf(in.readUTF()),
        text(in),
        text(in),
        text(in),
        told ? text(in) : null,
        told ? in.readLong() : 0,
        told ? permit(in) : null,
        told ? list(in, in::readUTF) : List.of(),
        format > FORMAT_SECOND ? list(in, in::readUTF) : List.of(),
        in.readBoolean(),
        list(in, () -> TableDamage.read(in, format)));
  }

  private static @Nullable Long permit(DataInputStream in) throws IOException {
    long number = in.readLong();
    return number < 0 ? null : number;
  }

  // ---- small things ----------------------------------------------------------------------------

  interface Item<T> {
    T read() throws IOException;
  }

  static <T> List<T> list(DataInputStream in, Item<T> item) throws IOException {
    int count = in.readInt();
    if (count < 0 || count > in.available()) { // every item has at least a byte
      throw new IllegalArgumentException("a summary with a list of " + count + " items");
    }
    List<T> items = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      items.add(item.read());
    }
    return List.copyOf(items);
  }

  private static <T> T known(@Nullable T value) {
    if (value == null) {
      throw new IllegalStateException("commits without a first and a last one");
    }
    return value;
  }

  private static void write(DataOutputStream out, Lsn lsn) throws IOException {
    out.writeLong(lsn.position());
  }

  private static Lsn lsn(DataInputStream in) throws IOException {
    return new Lsn(in.readLong());
  }

  private static void write(DataOutputStream out, Instant time) throws IOException {
    out.writeLong(time.getEpochSecond());
    out.writeInt(time.getNano());
  }

  private static Instant instant(DataInputStream in) throws IOException {
    long seconds = in.readLong();
    int nanos = in.readInt();
    if (seconds < Instant.MIN.getEpochSecond() || seconds > Instant.MAX.getEpochSecond()) {
      throw new IllegalArgumentException("a summary with an impossible time");
    }
    return Instant.ofEpochSecond(seconds, Math.floorMod(nanos, 1_000_000_000));
  }

  private static void write(DataOutputStream out, RelFile file) throws IOException {
    out.writeInt((int) file.tablespace());
    out.writeInt((int) file.database());
    out.writeInt((int) file.number());
  }

  private static RelFile file(DataInputStream in) throws IOException {
    return new RelFile(
        Integer.toUnsignedLong(in.readInt()),
        Integer.toUnsignedLong(in.readInt()),
        Integer.toUnsignedLong(in.readInt()));
  }

  static void text(DataOutputStream out, @Nullable String text) throws IOException {
    out.writeBoolean(text != null);
    if (text != null) {
      out.writeUTF(text);
    }
  }

  static @Nullable String text(DataInputStream in) throws IOException {
    return in.readBoolean() ? in.readUTF() : null;
  }
}
