package dev.holdfast.wal;

import dev.holdfast.wal.WalRecord.Header;

/**
 * Makes values of records: the main data of every kind but changes to index pages. Each resource
 * manager's formats lie in a class of their own; what differs between versions is asked of {@link
 * WalVersion}. Keeps no reference to the bytes.
 */
final class TypedRecords {
  private final XlogRecords xlog;
  private final TransactionRecords transactions;
  private final StatusRecords status;
  private final StorageRecords storage;
  private final HeapRecords heap;

  TypedRecords(WalVersion version) {
    xlog = new XlogRecords(version);
    transactions = new TransactionRecords(version);
    status = new StatusRecords(version);
    storage = new StorageRecords(version);
    heap = new HeapRecords(version);
  }

  /**
   * @throws MalformedRecordException when its main data does not add up
   */
  WalRecord of(RawRecord raw) {
    Header header = raw.header();
    return switch (raw.rmgr()) {
      case ResourceManager.HEAP -> heap.heap(header, raw);
      case ResourceManager.HEAP2 -> heap.heap2(header, raw);
      case ResourceManager.XLOG -> xlog.of(header, raw.mainCursor());
      case ResourceManager.TRANSACTION -> transactions.transaction(header, raw.mainCursor());
      case ResourceManager.STANDBY -> transactions.standby(header, raw.mainCursor());
      case ResourceManager.LOGICAL_MESSAGE -> transactions.message(header, raw.mainCursor());
      case ResourceManager.CLOG -> status.transactions(header, raw.mainCursor());
      case ResourceManager.COMMIT_TIMESTAMPS -> status.commitTimestamps(header, raw.mainCursor());
      case ResourceManager.MULTIXACT -> status.multiXacts(header, raw.mainCursor());
      case ResourceManager.REPLICATION_ORIGIN -> status.origins(header, raw.mainCursor());
      case ResourceManager.STORAGE -> storage.files(header, raw.mainCursor());
      case ResourceManager.DATABASE -> storage.databases(header, raw.mainCursor());
      case ResourceManager.TABLESPACE -> storage.tablespaces(header, raw.mainCursor());
      case ResourceManager.RELATION_MAP -> storage.relationMap(header, raw.mainCursor());
      case ResourceManager.SEQUENCE -> storage.sequence(header, raw.mainCursor());
      default -> new WalRecord.Other(header);
    };
  }

  /** Which of its kinds a record of a resource manager is that uses all four upper bits. */
  static int opcode(Header header) {
    return header.info() & 0xF0;
  }
}
