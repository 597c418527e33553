package dev.holdfast.postgres;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/** Recorded WAL, no segment of which is handed out before it was read for hazards. */
final class CheckedWal implements WalSpool.Source {
  private final List<String> route;
  private final Map<String, Integer> indexes = new HashMap<>();
  private final Function<String, byte[]> segments;
  private final IntFunction<@Nullable String> histories;
  private final ReplayHazards hazards;
  private int readCount;

  /** The segment read last, which a server that is fed step by step gets again and again. */
  private String lastName = "";

  private byte[] lastBytes = {};

  /**
   * @param what the operation that would fail
   * @param target where replay stops
   * @param segments the recorded bytes of a segment of the route
   * @param histories the text of a timeline's history file; null when none is recorded
   */
  CheckedWal(
      String what,
      RecoveryRoute route,
      Lsn target,
      Function<String, byte[]> segments,
      IntFunction<@Nullable String> histories) {
    this.route = route.segments();
    for (int index = 0; index < this.route.size(); index++) {
      indexes.put(this.route.get(index), index);
    }
    this.segments = segments;
    this.histories = histories;
    int segmentSize = route.base().walSegmentSize();
    Lsn first = SegmentName.containing(route.start(), route.base().timeline(), segmentSize).start();
    this.hazards = new ReplayHazards(what, first, segmentSize, route.start(), target);
  }

  @Override
  public void moveTo(Lsn farther) {
    hazards.moveTo(farther);
  }

  @Override
  public byte @Nullable [] read(String name) {
    if (name.endsWith(".history")) {
      String history = histories.apply(Integer.parseUnsignedInt(name.substring(0, 8), 16));
      return history == null ? null : history.getBytes(StandardCharsets.UTF_8);
    }
    // Only segments of the route: another timeline's would not have been read for hazards.
    Integer index = indexes.get(name);
    if (index == null) {
      return null;
    }
    while (index > readCount) {
      hazards.read(segment(route.get(readCount++)));
    }
    byte[] bytes = segment(name);
    if (index == readCount) {
      hazards.read(bytes);
      readCount++;
    } else {
      hazards.check(); // the target may lie further on than when it was read
    }
    return bytes;
  }

  private byte[] segment(String name) {
    if (!name.equals(lastName)) {
      lastBytes = segments.apply(name);
      lastName = name;
    }
    return lastBytes;
  }
}
