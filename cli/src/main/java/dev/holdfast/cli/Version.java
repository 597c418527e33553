package dev.holdfast.cli;

import picocli.CommandLine.IVersionProvider;

/** What {@code --version} prints: the version the build put into the jar. */
final class Version implements IVersionProvider {
  @Override
  public String[] getVersion() {
    String version = Version.class.getPackage().getImplementationVersion();
    return new String[] {"holdfast " + (version == null ? "(unpackaged build)" : version)};
  }
}
