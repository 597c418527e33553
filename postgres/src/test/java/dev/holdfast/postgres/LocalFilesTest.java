package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.Processes;
import dev.holdfast.testkit.TestServer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class LocalFilesTest {
  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void the_data_directory_of_a_server_of_this_machine_is_found(int major) throws Exception {
    try (Recorded recorded = new Recorded(TestServer.start(major));
        Connection control = recorded.recorder.open()) {
      Path tablespace = tablespace(recorded.server);
      recorded.server.execute("CREATE TABLE elsewhere (id int) TABLESPACE other", "CHECKPOINT");

      assertThat(LocalFiles.dataDirectory(control)).isEqualTo(recorded.server.server().data());
      assertThat(tablespace).isNotEmptyDirectory();
    }
  }

  /** Processes keep their working directory: the server goes on where its folder was moved to. */
  @Test
  void an_old_copy_in_the_place_of_the_data_directory_is_not_taken_for_it() throws Exception {
    try (Recorded recorded = new Recorded(TestServer.start(16));
        Connection control = recorded.recorder.open()) {
      Path data = recorded.server.server().data();
      Path copy = data.resolveSibling("copy");
      Path moved = data.resolveSibling("moved");
      run("cp", "-a", data.toString(), copy.toString());
      run("mv", data.toString(), moved.toString());
      run("mv", copy.toString(), data.toString());
      try {
        recorded.server.execute("CREATE TABLE since (id int)", "CHECKPOINT");

        assertThat(LocalFiles.dataDirectory(control)).isNull();

        run("cp", "-a", moved.resolve("global/pg_control").toString(), data + "/global/pg_control");
        assertThat(LocalFiles.dataDirectory(control)).isEqualTo(data); // so that was why
        Files.writeString(data.resolve("postmaster.pid"), "1\n");
        assertThat(LocalFiles.dataDirectory(control)).isNull();
      } finally {
        run("mv", data.toString(), copy.toString());
        run("mv", moved.toString(), data.toString());
      }
    }
  }

  @Test
  void a_tablespace_that_is_another_folder_here_is_noticed() throws Exception {
    try (Recorded recorded = new Recorded(TestServer.start(16));
        Connection control = recorded.recorder.open()) {
      Path data = recorded.server.server().data();
      Path tablespace = tablespace(recorded.server);
      recorded.server.execute("CREATE TABLE elsewhere (id int) TABLESPACE other");
      Path here = recorded.server.folder().resolve("here");
      Files.createDirectories(here.resolve("pg_tblspc"));
      String oid = recorded.server.value("SELECT oid FROM pg_tablespace WHERE spcname = 'other'");
      Path link = here.resolve("pg_tblspc").resolve(oid);

      assertThat(LocalFiles.haveSameTablespaces(control, data)).isTrue();
      assertThat(LocalFiles.haveSameTablespaces(control, here)).as("none").isFalse();
      Thread.sleep(1100); // the server tells times in whole seconds
      run("cp", "-a", tablespace.toString(), link.toString());
      assertThat(LocalFiles.haveSameTablespaces(control, here)).as("a copy").isFalse();
      run("rm", "-r", link.toString());
      Files.createSymbolicLink(link, tablespace);
      assertThat(LocalFiles.haveSameTablespaces(control, here)).isTrue();
    }
  }

  @Test
  void what_is_not_here_is_read_through_the_server() throws Exception {
    try (Recorded recorded = new Recorded(TestServer.start(16))) {
      Path here = Files.createDirectory(recorded.server.folder().resolve("here"));
      Files.writeString(here.resolve("PG_VERSION"), "of here");
      Files.createDirectory(here.resolve("postgresql.conf"));
      byte[] conf = Files.readAllBytes(recorded.server.server().data().resolve("postgresql.conf"));
      List<String> read = new ArrayList<>();
      try (ServerFiles files = new LocalFiles(here, new SqlFiles(recorded.recorder.open()))) {
        files.read(
            List.of(
                new ServerFiles.Piece("PG_VERSION", 3, 100),
                new ServerFiles.Piece("postgresql.conf", 0, conf.length),
                new ServerFiles.Piece("nowhere", 0, 100)),
            (index, bytes, length) ->
                read.add(
                    index
                        + (bytes == null
                            ? " none"
                            : " "
                                + new String(
                                    Arrays.copyOf(bytes, length), StandardCharsets.UTF_8))));
        assertThat(files.readAgain(new ServerFiles.Piece("PG_VERSION", 0, 2)))
            .isEqualTo("of".getBytes(StandardCharsets.UTF_8));
        assertThat(files.readAgain(new ServerFiles.Piece("nowhere", 0, 2))).isNull();
      }
      assertThat(read)
          .containsExactly("0 here", "1 " + new String(conf, StandardCharsets.UTF_8), "2 none");
    }
  }

  private static Path tablespace(TestServer server) throws Exception {
    Path folder = Files.createDirectory(server.folder().resolve("other"));
    run("chown", "--reference=" + server.server().data(), folder.toString());
    server.execute("CREATE TABLESPACE other LOCATION '" + folder + "'");
    return folder;
  }

  private static void run(String... command) {
    assertThat(Processes.run(List.of(command)).exitCode()).isZero();
  }
}
