package dev.holdfast.operations;

import dev.holdfast.compare.DigestedRow;
import dev.holdfast.compare.KeyRange;
import dev.holdfast.compare.PartSums;
import dev.holdfast.compare.RowSides;
import dev.holdfast.compare.Selection;
import dev.holdfast.compare.Split;
import dev.holdfast.postgres.DigestedRows;
import dev.holdfast.postgres.TableDigests;
import dev.holdfast.postgres.TableUnreadableException;
import java.util.Iterator;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/** One table of two servers, each asked on its own connection, both at once. */
final class DiffRowSides implements RowSides {
  private final TableDigests a;
  private final TableDigests b;
  private final LongConsumer readBytes;

  /**
   * @param readBytes told what the servers read; from two threads
   */
  DiffRowSides(TableDigests a, TableDigests b, LongConsumer readBytes) {
    this.a = a;
    this.b = b;
    this.readBytes = readBytes;
  }

  @Override
  public Both<PartSums> sums(Selection selection, Split split) {
    TableDigests.Some some = some(selection);
    TableDigests.Parts parts =
        switch (split) {
          case Split.ByRange ranges ->
              new TableDigests.Parts.AtKeys(ranges.ranges().stream().map(KeyRange::low).toList());
          case Split.ByHash hashes -> new TableDigests.Parts.OfHash(hashes.parts());
        };
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      // Nobody waits for a side whose sums nobody can be compared with.
      AtomicReference<@Nullable Throwable> first = new AtomicReference<>();
      CompletableFuture<PartSums> left =
          CompletableFuture.supplyAsync(() -> sums(a, some, parts, split.parts()), threads)
              .whenComplete((_, failure) -> ended(failure, first, b));
      CompletableFuture<PartSums> right =
          CompletableFuture.supplyAsync(() -> sums(b, some, parts, split.parts()), threads)
              .whenComplete((_, failure) -> ended(failure, first, a));
      CompletableFuture.allOf(left, right).exceptionally(_ -> null).join();
      return switch (first.get()) {
        case null -> new Both<>(left.join(), right.join());
        case RuntimeException told -> throw told;
        case Throwable other -> throw new IllegalStateException(other);
      };
    }
  }

  private static void ended(
      @Nullable Throwable failure, AtomicReference<@Nullable Throwable> first, TableDigests other) {
    if (failure == null) {
      return;
    }
    Throwable cause =
        failure instanceof CompletionException && failure.getCause() != null
            ? failure.getCause()
            : failure;
    if (first.compareAndSet(null, cause)) {
      // After a table that cannot be read others are; a cancellation could meet one of these.
      other.stop(!(cause instanceof TableUnreadableException));
    }
  }

  private PartSums sums(
      TableDigests table, TableDigests.Some some, TableDigests.Parts parts, int count) {
    PartSums sums = new PartSums(count);
    table.sums(some, parts, sums::add, readBytes);
    return sums;
  }

  private static TableDigests.Some some(Selection selection) {
    return switch (selection) {
      case Selection.Everything _ -> new TableDigests.Some.Rows();
      case Selection.InRange in -> new TableDigests.Some.Keys(in.range().low(), in.range().high());
      case Selection.InParts in -> new TableDigests.Some.HashParts(in.split().parts(), in.parts());
    };
  }

  @Override
  public Rows rows(Selection selection) {
    DigestedRows left = a.rows(some(selection));
    DigestedRows right;
    try {
      right = b.rows(some(selection));
    } catch (RuntimeException e) {
      left.close();
      throw e;
    }
    return new Rows() {
      @Override
      public Both<Iterator<DigestedRow>> both() {
        return new Both<>(rows(left), rows(right));
      }

      @Override
      public void close() {
        try (left) {
          right.close();
        }
      }
    };
  }

  private static Iterator<DigestedRow> rows(DigestedRows rows) {
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return rows.hasNext();
      }

      @Override
      public DigestedRow next() {
        TableDigests.Digested row = rows.next();
        return new DigestedRow(
            row.order(), row.identity(), row.first(), row.second(), row.copies(), row.place());
      }
    };
  }
}
