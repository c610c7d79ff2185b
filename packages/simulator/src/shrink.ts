/**
 * Leaves out parts of a list for as long as what is left still fails (delta debugging): halves first, then ever smaller pieces, down to
 * single ones. `fails` is asked at most `triesMax` times.
 */
export async function shrinkList<T>(
  list: readonly T[],
  fails: (rest: readonly T[]) => Promise<boolean>,
  triesMax: number,
): Promise<readonly T[]> {
  let kept = list
  let tries = 0
  if (kept.length > 0 && tries++ < triesMax && (await fails([]))) return []
  for (let size = kept.length >> 1; size >= 1; ) {
    let isSmaller = false
    for (let start = 0; start < kept.length && tries < triesMax; ) {
      const rest = [...kept.slice(0, start), ...kept.slice(start + size)]
      tries++
      if (await fails(rest)) {
        kept = rest
        isSmaller = true
      } else start += size
    }
    if (tries >= triesMax) return kept
    if (size > 1) size = size >> 1
    else if (!isSmaller) break
  }
  return kept
}
