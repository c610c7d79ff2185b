/** The value that a share of the values does not exceed (nearest rank); 0 of none. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) return 0
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!
}

/** Slope of the least-squares line through points, in units of y per unit of x; 0 for fewer than two. */
export function slope(points: readonly { readonly x: number; readonly y: number }[]): number {
  const n = points.length
  if (n < 2) return 0
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / n
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / n
  let products = 0
  let squares = 0
  for (const { x, y } of points) {
    products += (x - meanX) * (y - meanY)
    squares += (x - meanX) ** 2
  }
  return squares === 0 ? 0 : products / squares
}

/**
 * The p99 of each hundred values in turn, and of those the median: what it is in an ordinary second. A machine that stops for half a
 * second now and then changes the p99 of all values, and not this.
 */
export function ordinaryP99(values: readonly number[]): number {
  const tails: number[] = []
  for (let start = 0; start + 100 <= values.length; start += 100) {
    tails.push(percentile(values.slice(start, start + 100), 0.99))
  }
  return percentile(tails, 0.5)
}
