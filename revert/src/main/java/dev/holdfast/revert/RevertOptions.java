package dev.holdfast.revert;

/**
 * What the operator asked for.
 *
 * @param overwriteTouched whether values written again since are undone too
 * @param lostKeysOnly whether only the JSON keys the transaction removed are put back and
 *     everything else stays, the transaction's own values included
 */
public record RevertOptions(boolean overwriteTouched, boolean lostKeysOnly) {
  /** Undoes everything that was not touched since. */
  public static final RevertOptions DEFAULT = new RevertOptions(false, false);

  public RevertOptions {
    if (overwriteTouched && lostKeysOnly) {
      throw new IllegalArgumentException("putting lost keys back never overwrites");
    }
  }
}
