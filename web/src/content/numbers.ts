/** How numbers are written on the page, and how large they are. */

/** A weight as a percentage, right to its tenth; a difference with its sign. */
export function percent(weight: number, signed = false): string {
  if (!Number.isFinite(weight)) return "not known";
  const share = 100 * weight;
  const size = Math.abs(share);
  const written = size === 0 ? "0" : size < 0.05 ? "<0.1" : size.toFixed(1);
  const sign = share < 0 ? "−" : signed && share > 0 ? "+" : "";
  return `${sign}${written} %`;
}

/** The largest size among numbers, whatever their signs. */
export function largestSize(values: Float32Array): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  return largest;
}

/** A statistic, with three digits after the point at most. */
export function plain(value: number | null): string {
  return value === null || !Number.isFinite(value) ? "not measured" : String(Number(value.toFixed(3)));
}
