import type { Stretch } from './series.ts'

/** Drawings of one width over one span of time, below each other on a page. */
export const WIDTH = 1100
const LEFT = 110
const RIGHT = 10

export function escapeText(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign] ?? sign)
}

/** Where a moment lies from the left. */
export function xOf(ms: number, endMs: number): number {
  return round(LEFT + (Math.min(Math.max(0, ms), endMs) / Math.max(1, endMs)) * (WIDTH - LEFT - RIGHT))
}

export function svg(height: number, content: readonly string[]): string {
  return `<svg viewBox="0 0 ${WIDTH} ${height}" width="100%" role="img">${content.join('')}</svg>`
}

export function rowLabel(text: string, y: number): string {
  return `<text x="${LEFT - 8}" y="${y}" text-anchor="end">${escapeText(text)}</text>`
}

/** A bar over a stretch of time, with a text for the pointer. */
export function bar(
  fromMs: number,
  toMs: number,
  endMs: number,
  y: number,
  height: number,
  fill: string,
  text: string,
): string {
  const x = xOf(fromMs, endMs)
  const width = Math.max(1.5, xOf(toMs, endMs) - x)
  return `<rect x="${x}" y="${y}" width="${round(width)}" height="${height}" fill="${fill}"><title>${escapeText(text)}</title></rect>`
}

/** Rows of bars, one for each name. */
export function strips<T>(
  rows: readonly { name: string; stretches: readonly Stretch<T>[] }[],
  endMs: number,
  look: (value: T) => { fill: string; text: string } | null,
): string {
  const height = 16
  const content = rows.flatMap(({ name, stretches }, row) => [
    rowLabel(name, row * height + 12),
    ...stretches.flatMap(({ fromMs, toMs, value }) => {
      const drawn = look(value)
      return drawn === null ? [] : [bar(fromMs, toMs, endMs, row * height + 1, height - 3, drawn.fill, drawn.text)]
    }),
  ])
  return svg(rows.length * height + 18, [...content, timeAxis(endMs, rows.length * height)])
}

export interface Curve {
  readonly name: string
  readonly color: string
  /** Null: no value; the line breaks there. */
  readonly points: readonly { readonly ms: number; readonly value: number | null }[]
}

/** Curves over time. `isLog`: equal steps are equal factors, from one up. */
export function curves(list: readonly Curve[], endMs: number, unit: string, isLog: boolean): string {
  const height = 130
  const most = Math.max(1, ...list.flatMap(({ points }) => points.map(({ value }) => value ?? 0)))
  const scale = (value: number) =>
    isLog ? Math.log10(Math.max(1, value)) / Math.max(1, Math.log10(most)) : value / most
  const yOf = (value: number) => round(height - scale(value) * (height - 14))
  const marks = isLog
    ? Array.from({ length: Math.floor(Math.log10(most)) + 1 }, (_, power) => 10 ** power)
    : [0, most / 2, most].map((value) => Math.round(value))
  const grid = marks.map(
    (value) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${yOf(value)}" y2="${yOf(value)}" class="grid"/>${rowLabel(`${value.toLocaleString('en')} ${unit}`, yOf(value) + 4)}`,
  )
  const lines = list.map(
    ({ color, points }) => `<path d="${pathOf(points, endMs, yOf)}" fill="none" stroke="${color}" stroke-width="1.3"/>`,
  )
  const legend = list.map(
    ({ name, color }, slot) =>
      `<text x="${LEFT + 8 + slot * 110}" y="11" fill="${color}" style="fill:${color}">${escapeText(name)}</text>`,
  )
  return svg(height + 20, [...grid, ...lines, ...legend, timeAxis(endMs, height)])
}

function pathOf(points: Curve['points'], endMs: number, yOf: (value: number) => number): string {
  let path = ''
  let isOpen = false
  for (const { ms, value } of points) {
    if (value !== null) path += `${isOpen ? 'L' : 'M'}${xOf(ms, endMs)} ${yOf(value)}`
    isOpen = value !== null
  }
  return path
}

function timeAxis(endMs: number, y: number): string {
  const steps = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 3600]
  const step = (steps.find((seconds) => endMs / 1000 / seconds <= 12) ?? 7200) * 1000
  const marks = Array.from({ length: Math.floor(endMs / step) + 1 }, (_, slot) => slot * step)
  return marks
    .map((ms) => `<text x="${xOf(ms, endMs)}" y="${y + 14}" text-anchor="middle">${clock(ms)}</text>`)
    .join('')
}

/** Minutes and seconds. */
export function clock(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
