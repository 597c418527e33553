package dev.holdfast.operations;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A server that is protected now.
 *
 * @param name what it is called from now on
 * @param identity what its databases say that they belong to, and applications expect: its name,
 *     unless it continues another cluster
 * @param continues the cluster whose place it took; null for none
 * @param environment {@code production}, {@code staging} or {@code development}
 * @param serverVersion as the server tells it
 * @param systemIdentifier who the server is, as PostgreSQL numbers clusters
 * @param url how the recorder reaches it; never a password
 * @param recorderRole the role that reads backups and WAL
 * @param slot the replication slot that keeps WAL for us; null without one
 * @param databases the databases in it
 * @param stamped the databases that say from now on who they are
 * @param assertStatement what an application executes to be sure that it is at this one; null where
 *     nothing is stamped
 * @param works what works on this server, and what does not
 * @param server what kind of server it is to the role that was given, and what the guard could do
 *     as that role; the same as {@code guard install} and {@code guard status} find
 * @param advice what was found on the way
 * @param encryption how the repository is encrypted
 * @param base the first base backup
 */
public record ProtectResult(
    String name,
    String identity,
    @Nullable String continues,
    String environment,
    String repository,
    String serverVersion,
    String systemIdentifier,
    String url,
    String recorderRole,
    @Nullable String slot,
    List<String> databases,
    List<String> stamped,
    @Nullable String assertStatement,
    List<Capability> works,
    ServerKind server,
    List<Advice> advice,
    RepositoryKeys.Report encryption,
    BackupResult base) {
  /**
   * One thing Holdfast does.
   *
   * @param works {@code yes}, {@code no}, or {@code not yet}
   * @param note why, or how
   */
  public record Capability(String capability, String works, String note) {}
}
