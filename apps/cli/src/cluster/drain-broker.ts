import { CliError, ExitCode } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { requireWhole } from '../options/numbers.ts'
import { withController } from './active-controller.ts'
import { carryOut, MOVE_OPTIONS, type MoveOptions } from './carry-out.ts'
import { describeAllPartitions } from './partition-arguments.ts'
import { planDrain } from './plan-moves.ts'

interface DrainOptions extends MoveOptions {
  forget?: boolean
}

export const drainBroker: CommandDefinition<DrainOptions> = {
  name: 'drain',
  arguments: [['<node>', 'id of the broker']],
  summary: 'Move everything off a broker, so that it can be taken away; without --execute only show the plan',
  description: `Each partition that lies on the broker gets another one in its place: in a rack of its own if that is possible, and the one with the
fewest replicas. Stop the broker when all is moved. --forget takes it out of the cluster's memory once it is stopped. A broker that is only
restarted need not be drained: it hands its leaderships over by itself.`,
  options: [
    ...MOVE_OPTIONS,
    { flags: '--forget', description: 'unregister a broker that is stopped and holds nothing' },
  ],
  examples: [
    ['cluster drain 4', 'show what would move where'],
    ['cluster drain 4 --execute --wait', 'move it, with progress'],
    ['cluster drain 4 --forget', 'after it was stopped'],
  ],
  async run(context, [nodeText], options) {
    const nodeId = requireWhole('node', nodeText!, 0)
    return context.withAdmin(async (admin) => {
      const { brokers } = await admin.describeCluster({ includeFenced: true })
      if (!brokers.some((broker) => broker.nodeId === nodeId)) {
        throw new CliError(`there is no broker ${nodeId}`, { hint: '"millrace cluster status" shows the brokers.' })
      }
      const partitions = await describeAllPartitions(admin)
      if (options.forget) {
        const heldCount = partitions.filter(({ replicas }) => replicas.includes(nodeId)).length
        if (heldCount > 0) {
          throw new CliError(`broker ${nodeId} is still to hold ${heldCount} partitions`, {
            hint: `Move them first: "millrace cluster drain ${nodeId} --execute --wait".`,
          })
        }
        await withController(admin, () => admin.unregisterBroker(nodeId))
        await context.note(`Broker ${nodeId} is forgotten.`)
        return ExitCode.OK
      }
      // A fenced broker cannot copy anything now.
      const live = brokers.filter(({ isFenced }) => !isFenced)
      return carryOut(context, admin, planDrain(nodeId, partitions, live), options)
    })
  },
}
