import { randomUuid } from '@millrace/base'
import { ExitCode } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'

export const newId: CommandDefinition<object> = {
  name: 'new-id',
  summary: 'Make up an id for a new cluster',
  description: 'For cluster.id, which is the same on all nodes. Talks to nobody.',
  examples: [['cluster new-id', 'q1Sh-9_ISia_zwGINzRvyQ or the like']],
  async run(context) {
    const id = randomUuid(context.io.random)
    await context.printValue(id, () => `${id}\n`)
    return ExitCode.OK
  },
}
