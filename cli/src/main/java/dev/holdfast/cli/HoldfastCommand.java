package dev.holdfast.cli;

import java.util.List;
import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code holdfast} itself: what it is for, and its commands. */
@Command(
    name = "holdfast",
    versionProvider = Version.class,
    mixinStandardHelpOptions = true,
    header =
        "Keeps production databases from being destroyed by mistake, and brings the data back.",
    synopsisSubcommandLabel = "COMMAND",
    descriptionHeading = "%n",
    description = {
      "Something was destroyed just now?",
      "  holdfast log NAME --destructive    what happened, newest last, with transaction numbers",
      "  holdfast show NAME XID             what one transaction did",
      "  holdfast revert NAME XID           the plan that undoes it; nothing changes until --apply",
      "  holdfast restore NAME --to DIR     everything, into a new folder, as it was at a moment",
    },
    commandListHeading = "%nCommands:%n",
    optionListHeading = "%nOptions:%n",
    footerHeading = "%n",
    footer = {
      "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused as unsafe, 4 differences or failed checks,",
      "  5 repository unreachable, 6 stored data damaged, 7 database unreachable, 130 interrupted.",
    })
final class HoldfastCommand {
  /** As help lists them. */
  static final List<Class<?>> COMMANDS =
      List.of(
          DemoCommand.class,
          ProtectCommand.class,
          RecordCommand.class,
          BackupCommand.class,
          RollupCommand.class,
          ProveCommand.class,
          VerifyCommand.class,
          ExpireCommand.class,
          StatusCommand.class,
          KeyCommand.class,
          LogCommand.class,
          ShowCommand.class,
          RevertCommand.class,
          ForkCommand.class,
          RestoreCommand.class,
          PreviewCommand.class,
          DiffCommand.class,
          CheckCommand.class,
          AdoptCommand.class,
          RolesCommand.class,
          GuardCommand.class,
          WatchCommand.class,
          RunCommand.class,
          FreezeCommand.class,
          UnfreezeCommand.class,
          WalCommand.class,
          AutoComplete.GenerateCompletion.class);

  /** Given before the command, as git takes its options; one given after it wins. */
  @Mixin RepositoryOptions repository = new RepositoryOptions();
}
