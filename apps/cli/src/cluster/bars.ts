const BAR_WIDTH = 12

/** A picture of a share: `██████░░░░░░`. What is more than nothing shows at least one block. */
export function shareBar(value: number, whole: number): string {
  if (whole <= 0) return '░'.repeat(BAR_WIDTH)
  const share = Math.min(1, Math.max(0, value / whole))
  const filled = value > 0 ? Math.max(1, Math.round(share * BAR_WIDTH)) : 0
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`
}
