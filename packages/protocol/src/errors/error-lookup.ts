import { ErrorCode, errorInfos } from './error-code.generated.ts'
import type { ErrorInfo } from './error-info.ts'

/** Facts about a code. Unknown codes, which newer brokers may send, are UNKNOWN_SERVER_ERROR, not retriable; keep the number yourself. */
export function errorInfo(code: number): ErrorInfo {
  return errorInfos[code - ErrorCode.UNKNOWN_SERVER_ERROR] ?? errorInfos[0]!
}
