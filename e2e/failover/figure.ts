import { type FailoverRow, percentile } from './summary.ts'

const WIDTH = 900
const LEFT = 190
const RIGHT = 30
const STRIP = 46
const TOP = 34
/** Decades of the axis, in milliseconds. */
const FROM_MS = 100
const TO_MS = 30_000
const MARKS_MS = [100, 200, 500, 1000, 2000, 5000, 10_000, 20_000]
const COLORS: Readonly<Record<FailoverRow['system'], string>> = { millrace: '#1f77b4', kafka: '#d1700f' }

/**
 * All rounds as an SVG: a strip for each system and fault, a dot for each round, over a logarithmic axis of milliseconds until the next record
 * was acknowledged. The line is the median; hollow dots are rounds in which the active controller was lost too.
 */
export function failoverFigure(rows: readonly FailoverRow[]): string {
  const groups = [...Map.groupBy(rows, ({ system, fault }) => `${system}, ${fault}`)]
  const bottom = TOP + groups.length * STRIP
  const parts = [
    ...MARKS_MS.flatMap((ms) => [
      `<line x1="${xOf(ms)}" x2="${xOf(ms)}" y1="${TOP - 6}" y2="${bottom}" stroke="#ccc"/>`,
      `<text x="${xOf(ms)}" y="${TOP - 12}" text-anchor="middle">${labelOf(ms)}</text>`,
    ]),
    ...groups.flatMap(([name, group], slot) => stripOf(name, group, TOP + slot * STRIP)),
  ]
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 10}" font-family="sans-serif" font-size="13" role="img">`,
    '<title>Time from the loss of the leader to the next acknowledged record</title>',
    `<rect width="${WIDTH}" height="${bottom + 10}" fill="#fff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

function stripOf(name: string, rows: readonly FailoverRow[], top: number): string[] {
  const middle = top + STRIP / 2
  const median = xOf(
    percentile(
      rows.map(({ firstAckMs }) => firstAckMs),
      0.5,
    ),
  )
  const dots = rows.map(({ system, round, wasController, firstAckMs }) => {
    // Rounds lie below each other in the order in which they were played, so that equal times can be told apart.
    const y = middle + ((round * 7) % 25) - 12
    const color = COLORS[system]
    const fill = wasController ? '#fff' : color
    const text = `round ${round}: ${firstAckMs} ms${wasController ? ', the active controller too' : ''}`
    return `<circle cx="${xOf(firstAckMs)}" cy="${y}" r="3.5" fill="${fill}" stroke="${color}"><title>${text}</title></circle>`
  })
  return [
    `<text x="${LEFT - 12}" y="${middle + 4}" text-anchor="end">${name} (${rows.length})</text>`,
    ...dots,
    `<line x1="${median}" x2="${median}" y1="${middle - 18}" y2="${middle + 18}" stroke="#222" stroke-width="2"/>`,
  ]
}

function xOf(ms: number): number {
  const share = Math.log(Math.min(Math.max(ms, FROM_MS), TO_MS) / FROM_MS) / Math.log(TO_MS / FROM_MS)
  return Math.round((LEFT + share * (WIDTH - LEFT - RIGHT)) * 10) / 10
}

function labelOf(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${ms / 1000} s`
}
