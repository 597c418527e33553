package dev.holdfast.cli;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A share in per cent: {@code 10%}, {@code 2.5%}, or the number alone. */
final class Percent implements ITypeConverter<Double> {
  @Override
  public Double convert(String text) {
    String number = text.endsWith("%") ? text.substring(0, text.length() - 1) : text;
    if (number.matches("[0-9]{1,3}(\\.[0-9]{1,6})?")) {
      double percent = Double.parseDouble(number);
      if (percent <= 100) {
        return percent;
      }
    }
    throw new TypeConversionException(
        "\"" + text + "\" is no share; write it from 0% to 100%, such as 10%");
  }
}
