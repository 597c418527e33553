package dev.holdfast.postgres;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/** Collects what one check finds; from several threads. */
public final class CheckFindings {
  private static final int FOUND_MAX = 20;

  private final String name;
  private final long beganNanos = System.nanoTime();
  private final AtomicLong looked = new AtomicLong();
  private final List<Check.Finding> damaged = new ArrayList<>();
  private final List<Check.Finding> undecided = new ArrayList<>();
  private final List<String> notes = new ArrayList<>();
  private long more;
  private boolean damage;

  /** Of a check of this name, which begins now. */
  public CheckFindings(String name) {
    this.name = name;
  }

  /** The check's name. */
  String name() {
    return name;
  }

  /** So much more was looked at. */
  public void looked(long more) {
    looked.addAndGet(more);
  }

  /** Something is damaged. */
  public synchronized void damaged(String what, String why) {
    damage = true;
    add(damaged, new Check.Finding(true, what, why));
  }

  /** It could not be told. */
  public synchronized void undecided(String what, String why) {
    add(undecided, new Check.Finding(false, what, why));
  }

  /** What the check does not cover. */
  public synchronized void note(String note) {
    if (!notes.contains(note)) {
      notes.add(note);
    }
  }

  private void add(List<Check.Finding> list, Check.Finding finding) {
    if (list.size() < FOUND_MAX) {
      list.add(finding);
    } else {
      more++;
    }
  }

  /** What it came to. */
  public synchronized Check end() {
    List<Check.Finding> found = new ArrayList<>(damaged);
    found.addAll(undecided);
    return new Check(
        name,
        damage
            ? Check.Outcome.FAILED
            : found.isEmpty() ? Check.Outcome.PASSED : Check.Outcome.INCONCLUSIVE,
        looked.get(),
        found,
        more,
        notes,
        Duration.ofNanos(System.nanoTime() - beganNanos));
  }

  /** A check that is not done. */
  public static Check skipped(String name, String why) {
    return new Check(name, Check.Outcome.SKIPPED, 0, List.of(), 0, List.of(why), Duration.ZERO);
  }
}
