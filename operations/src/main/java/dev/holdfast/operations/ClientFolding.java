package dev.holdfast.operations;

import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Makes one client of what differs from process to process: names with numbers in them, addresses
 * of one network.
 */
final class ClientFolding {
  /** Where a client's address says nothing about where it is: a Unix socket, the loopback. */
  static final String LOCAL = "local";

  /** PostgreSQL's names are no longer than that. */
  private static final int NAME_MAX = 63;

  private static final Pattern UNPRINTABLE =
      Pattern.compile("[\\s\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{Cn}]+");

  /** PgBouncer's application_name_add_host: {@code api - 10.0.0.7:52188}. */
  private static final Pattern HOST_ADDED = Pattern.compile(" - \\S*\\d\\S*$");

  /** A UUID, a hash. */
  private static final Pattern RANDOM =
      Pattern.compile(
          "(?<![\\p{L}\\p{Nd}])(?:\\p{XDigit}{8}(?:-\\p{XDigit}{4}){3}-\\p{XDigit}{12}|(?=\\p{XDigit}*\\d)\\p{XDigit}{7,})(?![\\p{L}\\p{Nd}])");

  /** {@code worker17} is a worker; {@code 7f9c6d}, {@code x2x4z} are nothing but different. */
  private static final Pattern NUMBERED = Pattern.compile("(\\p{L}+)\\p{Nd}+");

  private static final Pattern WORD = Pattern.compile("[\\p{L}\\p{Nd}]*\\p{Nd}[\\p{L}\\p{Nd}]*");
  private static final Pattern STARS = Pattern.compile("\\*([-.:_/*\\[\\]]*\\*)+");

  /** Programs that a person sits before, who comes and goes. */
  private static final Set<String> TOOLS =
      Set.of(
          "azure data studio",
          "beekeeper",
          "datagrip",
          "dbeaver",
          "heidisql",
          "navicat",
          "pgadmin",
          "pgcli",
          "postico",
          "psql",
          "tableplus");

  private static final int IPV4_NETWORK = 3;
  private static final int IPV4_SITE = 2;
  private static final int IPV6_NETWORK = 4;
  private static final int IPV6_SITE = 3;
  private static final int IPV6_GROUPS = 8;

  private ClientFolding() {}

  /** A name as it may be kept and shown: one line, nothing that steers a terminal, not long. */
  static String name(String given) {
    String line = UNPRINTABLE.matcher(given).replaceAll(" ").strip();
    return line.length() <= NAME_MAX ? line : line.substring(0, NAME_MAX);
  }

  /** An application's name without what differs between its processes: {@code worker-*}. */
  static String application(String given) {
    String named = HOST_ADDED.matcher(name(given)).replaceFirst(" - *");
    String folded =
        WORD.matcher(RANDOM.matcher(named).replaceAll("*"))
            .replaceAll(word -> {
              var numbered = NUMBERED.matcher(word.group());
              return numbered.matches() ? numbered.group(1) + "*" : "*";
            });
    return STARS.matcher(folded).replaceAll("*");
  }

  /** Whether it is a program for people rather than an application. */
  static boolean isTool(String application) {
    String lower = application.toLowerCase(Locale.ROOT);
    return TOOLS.stream().anyMatch(lower::startsWith);
  }

  /**
   * The network an address is in, as containers change their last part: {@code 10.0.3.0/24}, {@code
   * 2001:db8:0:1::/64}, {@link #LOCAL}.
   *
   * @param address as host() of PostgreSQL spells it; null for a Unix socket
   */
  static String network(@Nullable String address) {
    return prefix(address, IPV4_NETWORK, IPV6_NETWORK);
  }

  /** The larger network that is likely to be of one place: {@code 10.0.0.0/16}, a /48. */
  static String site(String network) {
    int slash = network.indexOf('/');
    return slash < 0 ? network : prefix(network.substring(0, slash), IPV4_SITE, IPV6_SITE);
  }

  private static String prefix(@Nullable String address, int ofIpv4, int ofIpv6) {
    if (address == null || address.equals("::1") || address.startsWith("127.")) {
      return LOCAL;
    }
    String plain = address.replaceFirst("^::ffff:(?=\\d+\\.)", "");
    if (plain.indexOf(':') < 0) {
      String[] parts = plain.split("\\.", -1);
      if (parts.length != 4) {
        return name(plain);
      }
      var network = new StringBuilder();
      for (int i = 0; i < parts.length; i++) {
        network.append(i == 0 ? "" : ".").append(i < ofIpv4 ? parts[i] : "0");
      }
      return network.append('/').append(ofIpv4 * 8).toString();
    }
    String[] halves = plain.replaceFirst("%.*", "").split("::", 2);
    String[] first = halves[0].isEmpty() ? new String[0] : halves[0].split(":", -1);
    String[] last =
        halves.length < 2 || halves[1].isEmpty() ? new String[0] : halves[1].split(":", -1);
    var network = new StringBuilder();
    for (int i = 0; i < ofIpv6; i++) {
      int fromEnd = i - (IPV6_GROUPS - last.length);
      network
          .append(i == 0 ? "" : ":")
          .append(i < first.length ? first[i] : fromEnd >= 0 ? last[fromEnd] : "0");
    }
    return network.append("::/").append(ofIpv6 * 16).toString();
  }
}
