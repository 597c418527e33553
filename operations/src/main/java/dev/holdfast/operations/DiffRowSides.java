package dev.holdfast.operations;

import dev.holdfast.compare.DigestedRow;
import dev.holdfast.compare.KeyRange;
import dev.holdfast.compare.PartSums;
import dev.holdfast.compare.RowSides;
import dev.holdfast.compare.Selection;
import dev.holdfast.compare.Split;
import dev.holdfast.postgres.DigestedRows;
import dev.holdfast.postgres.TableDigests;
import java.util.Iterator;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.LongConsumer;

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
              new TableDigests.Parts.AtKeys(
                  ranges.ranges().stream().skip(1).map(KeyRange::low).toList());
          case Split.ByHash hashes -> new TableDigests.Parts.OfHash(hashes.parts());
        };
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<PartSums> left = threads.submit(() -> sums(a, some, parts, split.parts()));
      Future<PartSums> right = threads.submit(() -> sums(b, some, parts, split.parts()));
      return new Both<>(get(left), get(right));
    }
  }

  private PartSums sums(
      TableDigests table, TableDigests.Some some, TableDigests.Parts parts, int count) {
    PartSums sums = new PartSums(count);
    table.sums(some, parts, sums::add, readBytes);
    return sums;
  }

  private static <T> T get(Future<T> future) {
    try {
      return future.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException told) {
        throw told;
      }
      throw new IllegalStateException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
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
