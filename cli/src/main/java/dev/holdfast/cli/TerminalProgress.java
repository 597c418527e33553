package dev.holdfast.cli;

import dev.holdfast.operations.Progress;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;

/**
 * Progress on standard error: a bar with rate and time left on a terminal, a line at the end of
 * each phase (and every ten seconds of a long one) elsewhere.
 */
final class TerminalProgress implements Progress {
  private static final long REDRAW_NANOS = 100_000_000L;
  private static final long LOG_NANOS = 10_000_000_000L;
  private static final int BAR = 24;

  private final Terminal terminal;
  private final LongSupplier nanoTime;

  TerminalProgress(Terminal terminal, LongSupplier nanoTime) {
    this.terminal = terminal;
    this.nanoTime = nanoTime;
  }

  @Override
  public Phase begin(String name, long total, Unit unit) {
    return new Drawn(name, total, unit);
  }

  @Override
  public void say(String line) {
    terminal.err().println(line);
  }

  private final class Drawn implements Phase {
    private final String name;
    private final long total;
    private final Unit unit;
    private final long started = nanoTime.getAsLong();
    private final AtomicLong done = new AtomicLong();
    private final AtomicLong drawnAt = new AtomicLong(started);

    private Drawn(String name, long total, Unit unit) {
      this.name = name;
      this.total = total;
      this.unit = unit;
    }

    @Override
    public void advance(long amount) {
      long sum = done.addAndGet(amount);
      long now = nanoTime.getAsLong();
      long last = drawnAt.get();
      long every = terminal.errIsTerminal() ? REDRAW_NANOS : LOG_NANOS;
      // Whoever wins the exchange draws; the others go on working.
      if (now - last >= every && drawnAt.compareAndSet(last, now)) {
        draw(sum, now, false);
      }
    }

    @Override
    public void close() {
      draw(done.get(), nanoTime.getAsLong(), true);
    }

    private void draw(long sum, long now, boolean finished) {
      double elapsed = Math.max((now - started) / 1e9, 1e-6);
      StringBuilder line = new StringBuilder(name);
      if (terminal.errIsTerminal() && total > 0 && !finished) {
        int filled = (int) Math.min(BAR, BAR * sum / total);
        line.append("  [").append("#".repeat(filled)).append(".".repeat(BAR - filled)).append("]");
      }
      if (unit != Unit.STEPS) {
        line.append("  ").append(amount(sum));
        if (total > 0 && !finished) {
          line.append(" of ").append(amount(total));
        }
        line.append("  ").append(amount((long) (sum / elapsed))).append("/s");
      }
      if (finished) {
        line.append("  in ").append(Texts.seconds(elapsed));
      } else if (total > 0 && sum > 0) {
        line.append("  ")
            .append(Texts.seconds(elapsed * Math.max(0, total - sum) / sum))
            .append(" left");
      }
      if (terminal.errIsTerminal()) {
        terminal.err().print("\r\u001b[K" + line + (finished ? System.lineSeparator() : ""));
        terminal.err().flush();
      } else {
        terminal.err().println(line);
      }
    }

    private String amount(long value) {
      return switch (unit) {
        case BYTES -> Texts.bytes(value);
        case ROWS -> Texts.count(value) + " rows";
        case OBJECTS -> Texts.count(value) + " objects";
        case STEPS -> Texts.count(value);
      };
    }
  }
}
