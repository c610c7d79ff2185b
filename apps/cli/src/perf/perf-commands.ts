import type { Command } from 'commander'
import { type Dispatch, toCommand, toGroup } from '../command/command-definition.ts'
import { perfConsume } from './perf-consume.ts'
import { perfLatency } from './perf-latency.ts'
import { perfProduce } from './perf-produce.ts'

/** `millrace perf …`. */
export function perfCommands(dispatch: Dispatch): Command {
  return toGroup('perf', 'Measure throughput and latency', [
    toCommand(perfProduce, dispatch),
    toCommand(perfConsume, dispatch),
    toCommand(perfLatency, dispatch),
  ])
}
