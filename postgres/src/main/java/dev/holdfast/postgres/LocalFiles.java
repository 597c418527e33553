package dev.holdfast.postgres;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads the files of a server of this machine by itself, which costs half of asking the server.
 *
 * <p>What cannot be read here, or is not there, the server is asked for: its answer counts.
 */
final class LocalFiles implements ServerFiles {
  private static final Logger LOG = LoggerFactory.getLogger(LocalFiles.class);

  /** The server may write its control file between our two readings. */
  private static final int COMPARISONS_MAX = 5;

  private static final String OWN =
      """
      SELECT (SELECT setting FROM pg_settings WHERE name = 'data_directory'),
             pg_read_binary_file('global/pg_control', 0, 8192, true),
             pg_read_binary_file('postmaster.pid', 0, 8192, true)
      """;

  private static final String TABLESPACES =
      """
      SELECT d.path, extract(epoch FROM s.modification)::bigint, extract(epoch FROM s.change)::bigint
      FROM pg_ls_dir('pg_tblspc', true, false) AS link,
           LATERAL pg_ls_dir('pg_tblspc/' || link, true, false) AS version,
           LATERAL (SELECT 'pg_tblspc/' || link || '/' || version AS path) AS d,
           LATERAL pg_stat_file(d.path, true) AS s
      WHERE s.isdir
      """;

  private final Path data;
  private final ServerFiles server;
  private byte[] buffer = new byte[BaseBackup.READ_BYTES];
  private @Nullable String openPath;
  private @Nullable FileChannel open;

  /**
   * @param data as {@link #dataDirectory} found it
   * @param server closed in the end
   */
  LocalFiles(Path data, ServerFiles server) {
    this.data = data;
    this.server = server;
  }

  /**
   * The data directory of the server, if it is one of this machine that we may read.
   *
   * <p>A folder of that name may be another server's, or an old copy. Its control file is that of
   * the running server if it is the same byte by byte after the server made a checkpoint, as it
   * does when a backup begins; a standby of it has another state there, and a copy an older
   * checkpoint. Tablespaces lie elsewhere, and are held against the times the server tells.
   *
   * @param control in backup mode
   * @return null when it is not there, not the same, or not ours to read
   */
  static @Nullable Path dataDirectory(Connection control) throws SQLException {
    for (int comparison = 0; comparison < COMPARISONS_MAX; comparison++) {
      try (Statement statement = control.createStatement();
          ResultSet row = statement.executeQuery(OWN)) {
        row.next();
        String directory = row.getString(1);
        byte[] controlFile = row.getBytes(2);
        byte[] postmaster = row.getBytes(3);
        if (directory == null || controlFile == null || postmaster == null) {
          return null;
        }
        Path data = Path.of(directory);
        if (!Files.isReadable(data.resolve("PG_VERSION"))
            || !Arrays.equals(postmaster, Files.readAllBytes(data.resolve("postmaster.pid")))) {
          return null;
        }
        if (Arrays.equals(controlFile, Files.readAllBytes(data.resolve(BackupFiles.CONTROL)))) {
          return haveSameTablespaces(control, data) ? data : null;
        }
      } catch (IOException | InvalidPathException e) {
        LOG.debug("the files of the server are not read by ourselves", e);
        return null;
      }
    }
    return null;
  }

  /** Whether the tablespaces that a data directory links to are the server's. */
  static boolean haveSameTablespaces(Connection control, Path data)
      throws SQLException, IOException {
    try (Statement statement = control.createStatement();
        ResultSet rows = statement.executeQuery(TABLESPACES)) {
      while (rows.next()) {
        Path folder = data.resolve(rows.getString(1));
        if (!Files.isDirectory(folder)
            || seconds(Files.getLastModifiedTime(folder)) != rows.getLong(2)
            || seconds((FileTime) Files.getAttribute(folder, "unix:ctime")) != rows.getLong(3)) {
          return false;
        }
      }
    }
    return true;
  }

  private static long seconds(FileTime time) {
    return time.to(TimeUnit.SECONDS);
  }

  @Override
  public void read(List<Piece> pieces, Sink sink) throws SQLException {
    for (int index = 0; index < pieces.size(); index++) {
      Piece piece = pieces.get(index);
      int length;
      try {
        if (buffer.length < piece.length()) {
          buffer = new byte[piece.length()];
        }
        length = read(piece, buffer);
      } catch (IOException e) {
        tell(piece, e);
        int asked = index;
        server.read(List.of(piece), (_, bytes, had) -> sink.take(asked, bytes, had));
        continue;
      }
      sink.take(index, buffer, length);
    }
  }

  @Override
  public byte @Nullable [] readAgain(Piece piece) throws SQLException {
    try {
      byte[] bytes = new byte[piece.length()];
      return Arrays.copyOf(bytes, read(piece, bytes));
    } catch (IOException e) {
      tell(piece, e);
      return server.readAgain(piece);
    }
  }

  /** Nothing is wrong: dropped, as a rule, or a link out of the data directory. */
  private static void tell(Piece piece, IOException e) {
    LOG.debug("{} is read through the server", piece.path(), e);
  }

  private int read(Piece piece, byte[] bytes) throws IOException {
    FileChannel file = open;
    if (file == null || !piece.path().equals(openPath)) {
      closeFile();
      file =
          FileChannel.open(
              data.resolve(piece.path()), StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS);
      open = file;
      openPath = piece.path();
    }
    ByteBuffer into = ByteBuffer.wrap(bytes, 0, piece.length());
    while (into.hasRemaining() && file.read(into, piece.offset() + into.position()) >= 0) {
      // until the file ends
    }
    return into.position();
  }

  private void closeFile() throws IOException {
    FileChannel file = open;
    open = null;
    openPath = null;
    if (file != null) {
      file.close();
    }
  }

  @Override
  public void close() throws SQLException {
    try {
      closeFile();
    } catch (IOException e) {
      LOG.debug("a file that was read could not be closed", e);
    } finally {
      server.close();
    }
  }
}
