package dev.holdfast.cli;

import dev.holdfast.operations.WalDump;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.ParentCommand;

@Command(
    name = "dump",
    header = "Every record, one to a line, as pg_waldump shows it.",
    description = {
      "%nOldest first. What cannot be read is an error (exit code 6) after everything before it was"
          + " shown; the zeros and old segments that follow the end of a server's log are none.%n",
      "Examples:",
      "  holdfast wal dump pg_wal --from 0/3000148 --rmgr Heap --rmgr Transaction",
      "  holdfast wal dump 000000010000000000000003 --relation 1663/5/16384 --json",
      "  holdfast wal dump --cluster acme --relation public.users --xid 812",
    })
final class WalDumpCommand extends AnsweringCommand {
  private static final int PIECE_MAX = 64 * 1024;

  @ParentCommand WalCommand wal = new WalCommand();

  @Mixin WalOptions options = new WalOptions();

  // Millions of lines are written in large pieces; the first ones soon, for who looks at them.
  private final StringBuilder lines = new StringBuilder();
  private int piece = 4 * 1024;

  WalDumpCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    WalDump dump = new WalDump(options.input(wal.holdfast.repository, environment));
    try {
      dump.run(
          options.filter(),
          entry -> {
            lines.append(output.json ? Json.line(entry) : WalText.entry(terminal, entry));
            lines.append('\n');
            return (lines.length() < piece && !terminal.outIsTerminal()) || write();
          },
          note -> {
            write();
            WalOptions.tell(terminal, output, note);
          });
    } finally {
      write();
    }
    return 0;
  }

  /** False when nobody reads any more: {@code | head} has seen enough. */
  private boolean write() {
    terminal.out().append(lines);
    lines.setLength(0);
    piece = Math.min(2 * piece, PIECE_MAX);
    return !terminal.out().checkError();
  }
}
