package dev.holdfast.store;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Deals out the frames of a layer's parts to several threads, some at a time.
 *
 * <p>Each begins a part of its own, since a part has most of a file and two that write one file
 * wait for each other. Who finds none left helps another, from the end of its part on: parts may
 * differ in size by much. Memory: the tables of contents of as many parts as there are threads.
 */
final class PartSlices {
  /** Frames taken at once: 16 MiB of content, as a rule. */
  static final int FRAMES = 16;

  private final Deque<BaseDocument.Part> waiting;
  private final Function<BaseDocument.Part, TableOfContents> contents;
  private final List<Open> open = new ArrayList<>();

  /** Threads that read a table of contents: there may be more to do in a moment. */
  private int opening;

  /**
   * @param contents reads the table of contents of a part; called by several threads
   */
  PartSlices(List<BaseDocument.Part> parts, Function<BaseDocument.Part, TableOfContents> contents) {
    this.waiting = new ArrayDeque<>(parts);
    this.contents = contents;
  }

  /** Some of what a part holds. */
  record Slice(
      BaseDocument.Part part,
      List<TableOfContents.Frame> frames,
      List<TableOfContents.Hole> holes) {}

  private static final class Open {
    private final Deque<Slice> left = new ArrayDeque<>();

    Open(BaseDocument.Part part, TableOfContents contents) {
      List<TableOfContents.Frame> frames = contents.frames();
      for (int at = 0; at < frames.size(); at += FRAMES) {
        left.add(
            new Slice(
                part,
                List.copyOf(frames.subList(at, Math.min(frames.size(), at + FRAMES))),
                List.of()));
      }
      if (!contents.holes().isEmpty()) {
        left.add(new Slice(part, List.of(), contents.holes()));
      }
    }
  }

  /** For one thread. */
  Worker worker() {
    return new Worker();
  }

  /** One thread's way through. */
  final class Worker implements AutoCloseable {
    private @Nullable Open own;
    private boolean opens;

    /**
     * What to do next.
     *
     * @return null when all is dealt out
     */
    @Nullable Slice next() {
      while (true) {
        BaseDocument.Part part;
        synchronized (PartSlices.this) {
          Slice slice = own == null ? null : own.left.pollFirst();
          if (slice != null) {
            return slice;
          }
          part = waiting.pollFirst();
          if (part == null) {
            return others();
          }
          opens = true;
          opening++;
        }
        opened(new Open(part, contents.apply(part)));
      }
    }

    private void opened(@Nullable Open part) {
      synchronized (PartSlices.this) {
        if (part != null) {
          own = part;
          open.add(part);
        }
        opens = false;
        opening--;
        PartSlices.this.notifyAll();
      }
    }

    private @Nullable Slice others() {
      while (true) {
        open.removeIf(part -> part.left.isEmpty());
        if (!open.isEmpty()) {
          return open.stream()
              .max(Comparator.comparingInt(part -> part.left.size()))
              .orElseThrow()
              .left
              .pollLast();
        }
        if (opening == 0) {
          return null;
        }
        try {
          PartSlices.this.wait();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          return null; // whoever interrupts stops the whole of it
        }
      }
    }

    /** Nobody waits for a thread that failed. */
    @Override
    public void close() {
      if (opens) {
        opened(null);
      }
    }
  }
}
