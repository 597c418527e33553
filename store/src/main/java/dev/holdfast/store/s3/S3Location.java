package dev.holdfast.store.s3;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.ObjectName;
import java.util.Locale;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A bucket, and where in it: {@code s3://bucket/prefix}, with settings behind a question mark that
 * the environment has no name for. Where the bucket's server is and who asks it is the
 * environment's to say, never the location's: locations end up in logs, histories and process
 * lists.
 *
 * @param text as the operator wrote it, without a slash at its end
 * @param prefix empty, or ending in a slash
 * @param pathStyle whether the bucket's name goes into the path of a request instead of the host's
 *     name; null: as it suits the endpoint
 * @param conditionalWrites false where the operator knows that the endpoint has none, and that
 *     there is one writer only
 */
record S3Location(
    String text,
    String bucket,
    String prefix,
    @Nullable Boolean pathStyle,
    boolean conditionalWrites) {
  static final String PATH_STYLE = "pathStyle";
  static final String CONDITIONAL_WRITES = "conditionalWrites";

  private static final String SCHEME = "s3://";
  private static final Pattern BUCKET = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{1,254}");

  /**
   * Reads a location.
   *
   * @throws OperatorException USAGE when it is none
   */
  static S3Location parse(String location) {
    if (!location.toLowerCase(Locale.ROOT).startsWith(SCHEME)) {
      throw malformed(location, "a bucket is named with two slashes");
    }
    String rest = location.substring(SCHEME.length());
    if (rest.contains("@")) {
      // Not shown: what stands before the @ is likely to be a secret.
      throw new OperatorException(
          Kind.USAGE,
          "cannot use a repository location with an @ in it",
          "a location is no place for credentials: it ends up in logs and process lists",
          "write s3://BUCKET/PREFIX, and give the credentials as AWS_ACCESS_KEY_ID and"
              + " AWS_SECRET_ACCESS_KEY, as AWS_PROFILE, or as a role of this machine");
    }
    int query = rest.indexOf('?');
    String path = query < 0 ? rest : rest.substring(0, query);
    int slash = path.indexOf('/');
    String bucket = slash < 0 ? path : path.substring(0, slash);
    if (!BUCKET.matcher(bucket).matches()) {
      throw malformed(location, "\"" + bucket + "\" cannot be the name of a bucket");
    }
    String prefix = slash < 0 ? "" : path.substring(slash + 1);
    if (prefix.endsWith("/")) {
      prefix = prefix.substring(0, prefix.length() - 1);
    }
    if (!prefix.isEmpty()) {
      for (String component : prefix.split("/", -1)) {
        if (!ObjectName.isComponent(component)) {
          throw malformed(
              location,
              "between the slashes of a prefix stand letters, digits, dots, underscores and"
                  + " hyphens, and no dot comes first");
        }
      }
    }
    Settings settings = query < 0 ? Settings.NONE : settings(location, rest.substring(query + 1));
    return new S3Location(
        SCHEME
            + bucket
            + (prefix.isEmpty() ? "" : "/" + prefix)
            + (query < 0 ? "" : rest.substring(query)),
        bucket,
        prefix.isEmpty() ? "" : prefix + "/",
        settings.pathStyle(),
        !Boolean.FALSE.equals(settings.conditionalWrites()));
  }

  private record Settings(@Nullable Boolean pathStyle, @Nullable Boolean conditionalWrites) {
    static final Settings NONE = new Settings(null, null);
  }

  private static Settings settings(String location, String query) {
    Settings settings = Settings.NONE;
    for (String setting : query.split("&", -1)) {
      int equals = setting.indexOf('=');
      String name = equals < 0 ? setting : setting.substring(0, equals);
      settings =
          switch (name) {
            case PATH_STYLE -> new Settings(bool(location, setting), settings.conditionalWrites());
            case CONDITIONAL_WRITES -> new Settings(settings.pathStyle(), bool(location, setting));
            default ->
                // Neither the value nor the whole location: somebody may have tried secretKey=…
                throw malformed(
                    SCHEME + "…",
                    "it knows the settings "
                        + PATH_STYLE
                        + " and "
                        + CONDITIONAL_WRITES
                        + ", and no \""
                        + name
                        + "\"; endpoint, region and credentials are the environment's to say");
          };
    }
    return settings;
  }

  private static boolean bool(String location, String setting) {
    String value = setting.substring(setting.indexOf('=') + 1);
    if (value.equals("true") || value.equals("false")) {
      return value.equals("true");
    }
    throw malformed(location, "\"" + setting + "\" is neither =true nor =false");
  }

  private static OperatorException malformed(String location, String why) {
    return new OperatorException(
        Kind.USAGE,
        "cannot use the repository \"" + location + "\"",
        why,
        "write s3://BUCKET/PREFIX, for example s3://acme-backups/holdfast; endpoint, region and"
            + " credentials come from AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE and the like");
  }

  /** The key of an object of ours. */
  String key(String name) {
    return prefix + name;
  }
}
