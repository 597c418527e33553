package dev.holdfast.operations;

import dev.holdfast.postgres.SlotState;
import dev.holdfast.store.Lease;
import dev.holdfast.store.LeaseDocument;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What is known of one protected cluster, measured now. Null is "unknown", never "fine".
 *
 * @param identity what its databases say that they belong to: its name, unless it continues another
 *     cluster
 * @param continues the cluster whose place it took; null for none
 * @param continuedBy the cluster that took its place; null for none, else its server is not asked
 * @param reachable whether the server answered just now
 * @param recording whether a recorder is connected to it; null when it did not answer
 * @param recordedThrough the last byte of WAL in the repository; null when there is none
 * @param unrecordedBytes WAL the server has written past that; null when it did not answer
 * @param lastCommitAt time of the newest recorded commit; null when none is recorded yet
 * @param recoverableFrom the earliest position a fork or restore can reach; null when none
 * @param recoverableTo the latest one
 * @param recoverableSince when the base backup that reaches back furthest was finished: every
 *     moment from then on can be reached; null when none
 * @param walBytes WAL in the repository, before compression
 * @param bases the base backups, oldest first
 * @param lastProof when a restore was last proven to work; null: never
 * @param encryption how the repository is encrypted
 * @param proof the newest one, whatever it came to; null when there is none
 * @param outlook what would be lost, and for how long, if the machine vanished now
 * @param gaps WAL that was lost: no moment in it can be reached, and nothing is known of it
 * @param slot what recording costs the server's disk; null when it did not answer
 * @param recorder the process that records, or last did and has not said that it ended; null when
 *     there is none
 * @param schedules the scheduled jobs and how they stand
 * @param guard how the guards of its databases stand, and what was done to them
 * @param asked who asked whether this is the database they are to work on, newest first; without
 *     what databases keep when the server did not answer
 * @param clients who uses it, as its recorder saw
 * @param advice what should be looked at, worst first
 */
public record ClusterStatus(
    String name,
    String identity,
    @Nullable String continues,
    @Nullable String continuedBy,
    String environment,
    String engine,
    int major,
    String systemIdentifier,
    boolean reachable,
    @Nullable Boolean recording,
    @Nullable String recordedThrough,
    @Nullable Long unrecordedBytes,
    @Nullable Instant lastCommitAt,
    @Nullable String recoverableFrom,
    @Nullable String recoverableTo,
    @Nullable Instant recoverableSince,
    long walBytes,
    List<Base> bases,
    @Nullable Instant lastProof,
    RepositoryKeys.Report encryption,
    @Nullable ProofDocument proof,
    Outlook outlook,
    List<Gap> gaps,
    @Nullable Slot slot,
    @Nullable Recorder recorder,
    List<ScheduleState> schedules,
    ClusterGuard guard,
    List<Asked> asked,
    ClusterClients clients,
    List<Advice> advice) {
  /** As many terms of silence as make another one take over. */
  private static final double SILENT = 1.1;

  /**
   * Who records.
   *
   * @param host its machine's name
   * @param pid its process there
   * @param since when it began, by its clock
   * @param lastHeardOfAt when it last said that it is there, by its clock
   * @param termSeconds how long it may stay silent before another may take its place
   * @param state {@code working}; {@code silent}: not heard of for longer than that, if the two
   *     clocks agree; {@code gone}: a process of this machine that has ended without a word
   */
  public record Recorder(
      String host,
      long pid,
      Instant since,
      Instant lastHeardOfAt,
      double termSeconds,
      String state) {
    static @Nullable Recorder of(@Nullable LeaseDocument lease, Instant now) {
      if (lease == null || lease.released()) {
        return null;
      }
      boolean silent =
          lease.renewedAt().plusNanos((long) (lease.termSeconds() * SILENT * 1e9)).isBefore(now);
      return new Recorder(
          lease.holder().host(),
          lease.holder().pid(),
          lease.acquiredAt(),
          lease.renewedAt(),
          lease.termSeconds(),
          Lease.isOver(lease) ? "gone" : silent ? "silent" : "working");
    }
  }

  /**
   * Positions between which WAL was lost.
   *
   * @param from the first lost one
   * @param to just past the last one
   */
  public record Gap(String from, String to) {}

  /**
   * The replication slot, and what lies in the server's pg_wal.
   *
   * @param name null without one
   * @param active whether a recorder is connected through it
   * @param walStatus {@code reserved}, {@code extended}, {@code unreserved} or {@code lost}, as
   *     pg_replication_slots has it; null when there is no such slot
   * @param keptBytes WAL the server keeps for it; null when it keeps nothing
   * @param safeBytes WAL that can be written before it may be lost; null when there is no limit
   * @param limitBytes max_slot_wal_keep_size; null when it is unlimited
   * @param walBytes what lies in pg_wal
   */
  public record Slot(
      @Nullable String name,
      boolean active,
      @Nullable String walStatus,
      @Nullable Long keptBytes,
      @Nullable Long safeBytes,
      @Nullable Long limitBytes,
      long walBytes) {
    static Slot of(SlotState state) {
      return new Slot(
          state.slot(),
          state.active(),
          state.walStatus(),
          state.keptBytes(),
          state.safeBytes(),
          state.limitBytes(),
          state.walBytes());
    }
  }

  /**
   * A base backup in the repository.
   *
   * @param kind {@code full} or {@code incr}
   * @param bytes of the files as they are restored
   * @param parent the one it stands on; null for a full one
   */
  public record Base(
      String label,
      String kind,
      Instant finishedAt,
      long bytes,
      long storedBytes,
      @Nullable String parent) {}
}
