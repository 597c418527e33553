package dev.holdfast.operations;

import dev.holdfast.postgres.RowReader;
import dev.holdfast.postgres.RowVersion;
import dev.holdfast.revert.TableRevert;
import dev.holdfast.revert.Verdict;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowKey;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Decides about rows whose keys may be others' now. Those whose keys are free get them at once; the
 * others wait until it is known which keys the plan takes from other rows: rows that changed places
 * are undone together. Of rows that want one key, the one that the set hit last gets it.
 */
final class TakenKeys {
  private final RowLives lives;
  private final RowReader now;
  private final TableRevert revert;

  private final List<Waiting> waiting = new ArrayList<>();
  private final Set<RowKey> movedInto = new HashSet<>();

  /** Keys of rows that the plan takes out or gives another key. */
  private final KeyHashes freed = new KeyHashes();

  private @Nullable KeyHashes contested;

  /** A life whose key is another row's now, or may be wanted by another one. */
  private record Waiting(RowLife life, TableRevert.Proposal proposal, RowKey key, boolean free) {}

  TakenKeys(RowLives lives, RowReader now, TableRevert revert) {
    this.lives = lives;
    this.now = now;
    this.revert = revert;
  }

  /** Decides about those whose keys are free; the others wait for {@link #end}. */
  void decide(List<RowLife> batch) {
    List<TableRevert.Proposal> proposals = new ArrayList<>(batch.size());
    Set<RowKey> wanted = new HashSet<>();
    for (RowLife life : batch) {
      TableRevert.Proposal proposal = revert.propose(life.hits, life.now);
      proposals.add(proposal);
      if (proposal.to() != null && !proposal.isTaken()) {
        wanted.add(proposal.to());
      }
    }
    Map<RowKey, RowVersion> holders =
        now.versionsByKey(lives.now().oid(), lives.match().now(), wanted);
    for (int index = 0; index < batch.size(); index++) {
      decide(batch.get(index), proposals.get(index), holders);
    }
  }

  private void decide(
      RowLife life, TableRevert.Proposal proposal, Map<RowKey, RowVersion> holders) {
    RowKey to = proposal.to();
    if (life.uncertain && (proposal.isPartly() || mayHaveTakenItsKey(life, proposal))) {
      revert.leave(life.hits, life.now, Verdict.TOUCHED_SINCE);
      return;
    }
    if (to != null && (proposal.isTaken() || holders.containsKey(to) || !movedInto.add(to))) {
      waiting.add(new Waiting(life, proposal, to, false));
      return;
    }
    RowKey back = proposal.back();
    if (back != null && (movedInto.contains(back) || contested().contains(back))) {
      waiting.add(new Waiting(life, proposal, back, true));
      return;
    }
    if (life.now != null && life.nowOfSet && life.endsDeleted() && proposal.isNoChange()) {
      // It looks as if it were back, but the set gave another row its key and its values.
      waiting.add(new Waiting(life, proposal, lives.match().keyOf(life.now), false));
      return;
    }
    if (lives.mayBeElsewhere(life) && proposal.isNoChange()) {
      revert.leave(life.hits, null, Verdict.GONE_SINCE);
      return;
    }
    if (proposal.from() != null) {
      freed.add(proposal.from());
    }
    revert.accept(proposal);
  }

  /**
   * Whether a row found by the key that the set gave it is to get another one, and nothing else
   * tells that it is that row: all its other values are others'.
   */
  private boolean mayHaveTakenItsKey(RowLife life, TableRevert.Proposal proposal) {
    Row kept = life.lastKnown;
    Row is = life.now;
    if (proposal.to() == null || proposal.isTaken() || kept == null || is == null) {
      return false;
    }
    for (int column = 0; column < kept.size(); column++) {
      if (!lives.match().key().contains(column)
          && Objects.equals(kept.value(column), is.value(column))) {
        return false;
      }
    }
    return true;
  }

  /** Keys that more than one of the rows to come back may want. */
  private KeyHashes contested() {
    KeyHashes known = contested;
    if (known == null) {
      KeyHashes found = new KeyHashes();
      lives.eachContestedKey(found::add);
      contested = found;
      known = found;
    }
    return known;
  }

  /**
   * Decides about those that waited: the plan takes out, or moves, the rows that have their keys.
   */
  void end() {
    // Of those hit last by one transaction: the one hit first by the latest, whose key it was last.
    List<Waiting> hopeful = new ArrayList<>(waiting.reversed());
    hopeful.sort(Comparator.comparing((Waiting each) -> each.life.lastHit).reversed());
    boolean fewer = true;
    while (fewer) {
      Set<RowKey> gettingFree = new HashSet<>();
      for (Waiting each : hopeful) {
        if (each.proposal.from() != null) {
          gettingFree.add(each.proposal.from());
        }
      }
      Set<RowKey> given = new HashSet<>(movedInto);
      List<Waiting> left = new ArrayList<>();
      for (Waiting each : hopeful) {
        boolean free = each.free || gettingFree.contains(each.key) || freed.contains(each.key);
        if (free && given.add(each.key)) {
          left.add(each);
        }
      }
      fewer = left.size() < hopeful.size();
      hopeful = left;
    }
    Set<Waiting> get = Collections.newSetFromMap(new IdentityHashMap<>());
    get.addAll(hopeful);
    for (Waiting each : waiting) {
      RowLife life = each.life;
      if (!get.contains(each)) {
        if (each.proposal.isNoChange()) {
          revert.accept(each.proposal);
        } else {
          revert.leave(life.hits, life.now, Verdict.KEY_USED_AGAIN);
        }
      } else if (each.proposal.isTaken() || each.proposal.isNoChange()) {
        revert.undo(life.hits, null);
      } else {
        revert.accept(each.proposal);
      }
    }
    waiting.clear();
  }
}
