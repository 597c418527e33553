package dev.holdfast.store.local;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.Locale;

/** Tells what the file system said in an operator's words. */
public final class StorageFailure {
  private StorageFailure() {}

  /**
   * @param what the operation that failed
   * @param root the repository's directory
   */
  static OperatorException of(String what, Path root, IOException e) {
    String said = said(e);
    if (isDiskFull(e)) {
      return failure(
          what,
          "the disk is full",
          "free space on the disk that holds "
              + root
              + ", or move the repository to a larger one, then run the same command again; nothing"
              + " half-written is visible",
          e);
    }
    if (e instanceof AccessDeniedException || said.contains("permission denied")) {
      return failure(
          what,
          "permission denied",
          "run Holdfast as the user who owns " + root + ", or give this user access",
          e);
    }
    if (said.contains("read-only file system")) {
      return failure(
          what,
          "the file system is mounted read-only",
          "mount it writable; the system's log says why it is not",
          e);
    }
    if (e instanceof NoSuchFileException
        || e instanceof NotDirectoryException
        || said.contains("not a directory")) {
      return failure(
          what,
          "there is no such directory",
          "check the location, and that the disk that holds " + root + " is mounted",
          e);
    }
    return failure(
        what, describe(e), "check that the disk that holds " + root + " is healthy and mounted", e);
  }

  /** Whether the disk or a quota is full. */
  public static boolean isDiskFull(IOException e) {
    String said = said(e);
    return said.contains("no space left") || said.contains("quota exceeded");
  }

  /** The reason without the file's name where the system gives one. */
  public static String describe(IOException e) {
    String reason = e instanceof FileSystemException f ? f.getReason() : e.getMessage();
    return reason == null ? e.getClass().getSimpleName() : reason;
  }

  private static String said(IOException e) {
    return String.valueOf(e.getMessage()).toLowerCase(Locale.ROOT);
  }

  private static OperatorException failure(String what, String why, String next, IOException e) {
    return new OperatorException(Kind.REPOSITORY_UNREACHABLE, what, why, next, e);
  }
}
