import type { FaultSpan } from '../history/operation.ts'
import type { LeaderSample } from '../leader-watch.ts'
import type { ChaosResult } from '../run-chaos.ts'
import { bucketsOf, quantile, stretchesOf } from './series.ts'
import { acceptedText, type RunSummary } from './summary.ts'
import { bar, clock, curves, escapeText, rowLabel, strips, svg } from './svg.ts'

const nodeColors = ['#4e79a7', '#f28e2b', '#59a14f', '#b07aa1', '#e15759', '#9c755f', '#76b7b2']
const faultColor = '#c0392b'

/** A page that needs nothing else: the verdict, what was done, and all of it over time. */
export function chaosPage(summary: RunSummary, result: ChaosResult): string {
  const { history, leaders } = result
  const { endMs } = history
  const buckets = bucketsOf(history, Math.max(1000, endMs / 1000))
  const seconds = buckets.length > 1 ? (buckets[1]!.fromMs - buckets[0]!.fromMs) / 1000 : 1
  const points = (value: (bucket: (typeof buckets)[number]) => number | null) =>
    buckets.map((bucket) => ({ ms: bucket.fromMs, value: value(bucket) }))
  const title = `Chaos, seed ${summary.seed}: ${summary.isGood ? 'passed' : 'failed'}`
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${title}</title><meta name="viewport" content="width=device-width">
<style>${style}</style></head><body>
<h1 class="${summary.isGood ? 'good' : 'bad'}">${title}</h1>
<p>${escapeText(headline(summary))}</p>
${findings(summary, result)}
<h2>Faults</h2>
${faultDrawing(history.faults, endMs)}
<h2>Acknowledged and read records per second</h2>
${curves(
  [
    { name: 'acknowledged', color: '#59a14f', points: points(({ acknowledged }) => acknowledged / seconds) },
    { name: 'read', color: '#4e79a7', points: points(({ polled }) => polled / seconds) },
  ],
  endMs,
  '/s',
  false,
)}
<h2>Time to the acknowledgement</h2>
${curves(
  [
    { name: 'median', color: '#59a14f', points: points(({ latencies }) => quantile(latencies, 0.5)) },
    { name: 'p99', color: '#f28e2b', points: points(({ latencies }) => quantile(latencies, 0.99)) },
    { name: 'longest', color: '#e15759', points: points(({ latencies }) => latencies.at(-1) ?? null) },
  ],
  endMs,
  'ms',
  true,
)}
<h2>Sends without an acknowledgement per second</h2>
${curves(
  [
    { name: 'unknown', color: '#f28e2b', points: points(({ unknown }) => unknown / seconds) },
    { name: 'failed', color: '#e15759', points: points(({ failed }) => failed / seconds) },
  ],
  endMs,
  '/s',
  false,
)}
<h2>Leaders</h2>
<p>${legend(summary.nodes)}</p>
${leaderDrawing(leaders, endMs)}
<h2>All faults</h2>
${faultTable(history.faults)}
</body></html>
`
}

const style = `
:root{color-scheme:light dark}
body{font:15px/1.45 system-ui,sans-serif;max-width:1140px;margin:2em auto;padding:0 1em}
h1{font-size:1.5em}h2{font-size:1.05em;margin:1.6em 0 .3em}.good{color:#2e8b57}.bad{color:#c0392b}
svg text{font-size:10px;fill:currentColor}.grid{stroke:currentColor;opacity:.15}
table{border-collapse:collapse}td,th{text-align:left;padding:.15em .9em .15em 0;font-variant-numeric:tabular-nums}
.swatch{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 .9em}pre{white-space:pre-wrap}`

function headline(run: RunSummary): string {
  const number = (value: number) => value.toLocaleString('en')
  const parts = [
    `${run.nodes} nodes of ${run.system} at ${run.commit}, ${run.date}`,
    `${run.seconds} s of faults (${run.faults})`,
    `${number(run.operations)} operations, ${number(run.acknowledged)} records acknowledged, ${number(run.unknown)} of unknown outcome`,
    `${number(run.committed)} transactions committed, ${number(run.aborted)} not, ${number(run.unsure)} of unknown outcome; ${number(run.processed)} records processed in them`,
    `${acceptedText(run)} of a share group, ${number(run.redelivered)} deliveries after the first, ${number(run.exhausted)} last ones`,
    `${number(run.leaderKills)} kills of leaders`,
    run.recoveryP50Ms === null
      ? 'nothing was killed'
      : `after a kill written again everywhere within ${run.recoveryP50Ms} ms (median), ${run.recoveryP99Ms} ms (p99), ${run.recoveryMaxMs} ms (longest)`,
  ]
  return `${parts.join('; ')}.`
}

function findings(summary: RunSummary, { verdict, problems }: ChaosResult): string {
  const rows = verdict.found.map(
    ({ kind, count, isAllowed }) =>
      `<tr><td>${kind}</td><td>${count}</td><td>${isAllowed ? 'breaks no promise' : '<b>never allowed</b>'}</td></tr>`,
  )
  const examples = verdict.examples.map(({ kind, message }) => `${kind}: ${message}`)
  const trouble = [...verdict.invalid.map((reason) => `says nothing: ${reason}`), ...problems, ...examples]
  const outcomes = Object.entries(verdict.outcomes).map(
    ([kind, { ok, fail, info }]) => `<tr><td>${kind}</td><td>${ok}</td><td>${info}</td><td>${fail}</td></tr>`,
  )
  return `<h2>Found</h2>
${rows.length === 0 ? '<p>No anomaly of any kind.</p>' : `<table><tr><th>kind</th><th>times</th><th></th></tr>${rows.join('')}</table>`}
${trouble.length === 0 ? '' : `<pre>${escapeText(trouble.join('\n'))}</pre>`}
<h2>Operations</h2>
<table><tr><th></th><th>ok</th><th>unknown</th><th>failed</th></tr>${outcomes.join('')}</table>
<p>Times to the acknowledgement: median ${summary.sendP50Ms ?? '–'} ms, p99 ${summary.sendP99Ms ?? '–'} ms.</p>`
}

function faultDrawing(faults: readonly FaultSpan[], endMs: number): string {
  const kinds = [...new Set(faults.map(({ kind }) => kind))].sort()
  const rows = kinds.flatMap((kind, row) => [
    rowLabel(kind, row * 16 + 12),
    ...faults
      .filter((fault) => fault.kind === kind)
      .map(({ beginMs, endMs: mendedMs, detail }) =>
        bar(beginMs, mendedMs, endMs, row * 16 + 1, 13, faultColor, `${clock(beginMs)} ${detail}`),
      ),
  ])
  return svg(kinds.length * 16 + 4, rows)
}

function leaderDrawing(samples: readonly LeaderSample[], endMs: number): string {
  const keys = [...new Set(samples.flatMap(({ leaders }) => [...leaders.keys()]))].sort()
  const controller = samples.map(({ ms, controller: value }) => ({ ms, value: value ?? null }))
  const rows = [
    { name: 'controller', stretches: stretchesOf<number | null>(controller, endMs) },
    ...keys.map((key) => {
      const told = samples.map(({ ms, leaders }) => ({ ms, value: leaders.get(key)?.leader ?? null }))
      return { name: key, stretches: stretchesOf<number | null>(told, endMs) }
    }),
  ]
  return strips(rows, endMs, (id) => {
    if (id === null) return null
    return id < 0 ? { fill: '#000', text: 'no leader' } : { fill: colorOf(id), text: `node ${id}` }
  })
}

function legend(nodeCount: number): string {
  const nodes = Array.from({ length: nodeCount }, (_, slot) => slot + 1)
  const named = nodes.map((id) => `<span class="swatch" style="background:${colorOf(id)}"></span>node ${id}`)
  return `${named.join('')}<span class="swatch" style="background:#000"></span>none; gaps: nobody told`
}

function colorOf(id: number): string {
  return nodeColors[(id - 1) % nodeColors.length]!
}

function faultTable(faults: readonly FaultSpan[]): string {
  const rows = faults.map(({ kind, detail, beginMs, endMs }) => {
    const length = Number.isFinite(endMs) ? `${((endMs - beginMs) / 1000).toFixed(1)} s` : 'to the end'
    return `<tr><td>${clock(beginMs)}</td><td>${length}</td><td>${kind}</td><td>${escapeText(detail)}</td></tr>`
  })
  return `<details><summary>${faults.length}</summary><table>${rows.join('')}</table></details>`
}
