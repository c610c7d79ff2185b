import { type DataOperation, isData, type Operation } from '../history/operation.ts'
import type { AnomalyKind, Findings } from './anomaly.ts'
import type { LogModel } from './log-model.ts'
import { strongComponents } from './strong-components.ts'

/** Which dependencies count. `ww`: the next version of a log is another's. `wr`: one reads what another wrote. `realtime`: one ended before. */
type Dependency = 'ww' | 'wr' | 'realtime'

/**
 * Looks for operations that depend on each other in a circle (Adya's phenomena, for logs). Writes of transactions are not isolated in
 * Kafka's protocol, so circles through the write order are normal; circles of reads alone never are, and nobody reads what is sent only
 * after he was answered.
 */
export function checkCycles(operations: readonly Operation[], model: LogModel, findings: Findings): void {
  // One that failed wrote nothing; what is read of it all the same has a name of its own.
  const nodes = operations.filter((operation) => isData(operation)).filter(({ outcome }) => outcome !== 'fail')
  report('G0', nodes, graph(nodes, model, ['ww']), findings)
  report('read-cycle', nodes, graph(nodes, model, ['wr']), findings)
  const isKnown = findings.count('read-cycle') > 0
  if (findings.count('G0') === 0 && !isKnown) report('G1c', nodes, graph(nodes, model, ['ww', 'wr']), findings)
  if (!isKnown) report('future-read', nodes, graph(nodes, model, ['wr', 'realtime']), findings)
}

function report(kind: AnomalyKind, nodes: readonly DataOperation[], edges: number[][], findings: Findings): void {
  for (const component of strongComponents(edges)) {
    // The graph of real time has nodes that are no operations.
    const members = component.flatMap((node) => nodes[node] ?? [])
    const names = members.slice(0, 4).map(({ id, process, kind: what }) => `${what} ${id} of ${process}`)
    findings.add(kind, `${names.join(' ↔ ')}${members.length > 4 ? ` and ${members.length - 4} more` : ''}`)
  }
}

function graph(nodes: readonly DataOperation[], model: LogModel, dependencies: readonly Dependency[]): number[][] {
  const edges: number[][] = nodes.map(() => [])
  const slotOf = new Map(nodes.map((operation, slot) => [operation as Operation, slot]))
  const link = (from: number | undefined, to: number | undefined) => {
    if (from !== undefined && to !== undefined && from !== to) edges[from]!.push(to)
  }
  if (dependencies.includes('ww'))
    for (const log of model.logs) {
      let before: number | undefined
      for (const offset of log.order) {
        const writer = log.sent.get(log.valueAt(offset) ?? '')
        const slot = writer === undefined ? undefined : slotOf.get(writer.operation)
        link(before, slot)
        before = slot
      }
    }
  if (dependencies.includes('wr'))
    for (const [slot, { steps }] of nodes.entries())
      for (const step of steps)
        if (step.step === 'poll')
          for (const { key, value } of step.records) {
            const writer = model.log(key).sent.get(value)
            if (writer !== undefined) link(slotOf.get(writer.operation), slot)
          }
  if (dependencies.includes('realtime')) linkInTime(nodes, edges)
  return edges
}

/**
 * Adds a chain of moments: an operation leads to the moment of its end, a moment to the operations that begin after it. So what ended
 * before another began is connected to it, with edges in proportion to the operations and not to their pairs.
 */
function linkInTime(nodes: readonly DataOperation[], edges: number[][]): void {
  const events = nodes.flatMap(({ invokedMs, completedMs }, slot) => [
    { ms: invokedMs, isEnd: false, slot },
    ...(Number.isFinite(completedMs) ? [{ ms: completedMs, isEnd: true, slot }] : []),
  ])
  // At the same millisecond nothing is before anything: beginnings go first.
  events.sort((left, right) => left.ms - right.ms || Number(left.isEnd) - Number(right.isEnd))
  let moment = -1
  for (const { isEnd, slot } of events) {
    if (!isEnd) {
      if (moment >= 0) edges[moment]!.push(slot)
      continue
    }
    const next = edges.push([]) - 1
    if (moment >= 0) edges[moment]!.push(next)
    edges[slot]!.push(next)
    moment = next
  }
}
