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
