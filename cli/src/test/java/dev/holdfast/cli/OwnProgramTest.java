package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class OwnProgramTest {
  @Test
  void a_job_is_started_as_the_launcher_starts_us_and_with_nothing_that_others_set() {
    assertThat(
            OwnProgram.command(
                "java",
                List.of(
                    "-Xms512m",
                    "-Dcom.sun.management.jmxremote.port=9010",
                    "-Djavax.net.ssl.keyStorePassword=secret",
                    "-Xlog:gc:file=/var/log/holdfast/gc.log",
                    "-agentlib:jdwp=transport=dt_socket,server=y,address=5005",
                    "-javaagent:/opt/agent.jar",
                    "-XX:InitialHeapSize=536870912",
                    "-XX:ArchiveClassesAtExit=/x.jsa",
                    "-Xmx1g",
                    "-XX:+UseSerialGC",
                    "-Xshare:auto",
                    "-XX:SharedArchiveFile=/opt/holdfast/holdfast.jsa",
                    "-Xlog:cds=off",
                    "-Xlog:cds+dynamic=off",
                    "-XX:Tier4InvocationThreshold=50000",
                    "-XX:TieredStopAtLevel=1",
                    "--enable-native-access=ALL-UNNAMED",
                    "-Djdk.util.jar.version=21",
                    "-DZstdNativePath=/opt/holdfast/zstd-library"),
                "/opt/holdfast/lib/*"))
        .containsExactly(
            "java",
            "-XX:+UseSerialGC",
            "-Xshare:auto",
            "-XX:SharedArchiveFile=/opt/holdfast/holdfast.jsa",
            "-Xlog:cds=off",
            "-Xlog:cds+dynamic=off",
            "-XX:Tier4InvocationThreshold=50000",
            "-XX:TieredStopAtLevel=1",
            "--enable-native-access=ALL-UNNAMED",
            "-Djdk.util.jar.version=21",
            "-DZstdNativePath=/opt/holdfast/zstd-library",
            "-Xms16m",
            "-Xmx256m",
            "-cp",
            "/opt/holdfast/lib/*",
            "dev.holdfast.cli.Main");
  }

  @Test
  void what_variables_say_stays_but_for_what_two_cannot_have() {
    assertThat(
            OwnProgram.environment(
                Map.of(
                    "JAVA_TOOL_OPTIONS",
                    "-Xms512m -Dhttps.proxyHost=proxy -Dcom.sun.management.jmxremote.port=9010"
                        + " -Djavax.net.ssl.trustStore='/etc/our store' -Xlog:gc:file=gc.log",
                    "_JAVA_OPTIONS",
                    "-Xmx8g",
                    "PATH",
                    "/bin"),
                null))
        .containsOnly(
            Map.entry(
                "JAVA_TOOL_OPTIONS",
                "-Dhttps.proxyHost=proxy -Djavax.net.ssl.trustStore='/etc/our store'"),
            Map.entry("_JAVA_OPTIONS", ""));
  }

  @Test
  void the_recorders_connection_is_handed_on_where_no_command_line_shows_it() {
    assertThat(OwnProgram.environment(Map.of(), "postgresql://recorder:secret@db2/shop"))
        .containsOnly(Map.entry("HOLDFAST_RECORDER_URL", "postgresql://recorder:secret@db2/shop"));
    Map<String, String> variable = Map.of("HOLDFAST_RECORDER_URL", "postgresql://db2");
    assertThat(RepositoryOptions.recorderUrl(null, variable)).isEqualTo("postgresql://db2");
    assertThat(RepositoryOptions.recorderUrl("postgresql://db3", variable))
        .isEqualTo("postgresql://db3");
    assertThat(RepositoryOptions.recorderUrl(null, Map.of("HOLDFAST_RECORDER_URL", ""))).isNull();
  }
}
