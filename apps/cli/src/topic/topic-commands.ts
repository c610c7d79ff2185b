import type { Command } from 'commander'
import { type Dispatch, toCommand, toGroup } from '../command/command-definition.ts'
import { alterTopic } from './alter-topic.ts'
import { createTopic } from './create-topic.ts'
import { deleteTopic } from './delete-topic.ts'
import { describeTopic } from './describe-topic.ts'
import { listTopics } from './list-topics.ts'

/** `millrace topic …`. */
export function topicCommands(dispatch: Dispatch): Command {
  return toGroup('topic', 'Create, list, describe, change and delete topics', [
    toCommand(createTopic, dispatch),
    toCommand(listTopics, dispatch),
    toCommand(describeTopic, dispatch),
    toCommand(alterTopic, dispatch),
    toCommand(deleteTopic, dispatch),
  ])
}
