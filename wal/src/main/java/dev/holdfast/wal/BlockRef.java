package dev.holdfast.wal;

/**
 * One page a record changed: a block reference ("access/xlogrecord.h", PostgreSQL 18).
 *
 * <p>Which page plays which part is told by id <em>and</em> fork, never by the number of
 * references: minor releases add references to visibility map pages.
 *
 * @param id 0 to 32, ascending within a record; 0 is the main page
 * @param file the relation's files
 * @param fork {@link #MAIN}, {@link #FREE_SPACE_MAP}, {@link #VISIBILITY_MAP} or {@link #INIT}
 * @param block block number in the fork, unsigned 32-bit
 * @param hasImage whether the record carries a copy of the page
 * @param imageApplied whether replay restores that copy; false for copies that only check
 * @param willInit whether replay builds the page from nothing
 * @param dataLength bytes of data that belong to this page; 0 when the image made them needless
 * @param imageLength bytes of the stored image, 0 without one
 */
public record BlockRef(
    int id,
    RelFile file,
    int fork,
    long block,
    boolean hasImage,
    boolean imageApplied,
    boolean willInit,
    int dataLength,
    int imageLength) {
  /** The fork of the rows. */
  public static final int MAIN = 0;

  /** The free space map. */
  public static final int FREE_SPACE_MAP = 1;

  /** The visibility map. */
  public static final int VISIBILITY_MAP = 2;

  /** What an unlogged relation is reset to. */
  public static final int INIT = 3;
}
