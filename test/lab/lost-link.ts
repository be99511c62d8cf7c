/**
 * A link that is lost between a write and its commit: a trigger on the server makes the commit of one row last, and
 * says in the server's log that it has begun; then the link goes silent, so that the server commits and the answer is
 * lost. Rows that come from elsewhere are not concerned. PostgreSQL only.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import type { Lab } from './lab.ts'

const MACHINE = 'slow-commit'
/** Late enough for every other check to have ended: each has a fraction of so many round trips. */
const SEQUENCE = 200
const COMMIT_MS = 800

const TRIGGER = `
  CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    RAISE LOG 'commit begins';
    PERFORM pg_sleep(${COMMIT_MS / 1000});
    RETURN NULL;
  END $$;
  CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON connection_probe DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.sequence = ${SEQUENCE} AND NEW.origin LIKE '${MACHINE}@%') EXECUTE FUNCTION slow_commit()`

/** Asks until it holds: neither /proc nor a log that grows can be awaited. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(10)
}

/** A counter of the application host's kernel (/proc/net/snmp, RFC 4022). */
async function tcpCounter(lab: Lab, counter: 'ActiveOpens' | 'CurrEstab'): Promise<number> {
  const text = await readFile(`/proc/${lab.network.app.pid}/net/snmp`, 'utf8')
  const [names = [], counts = []] = text
    .split('\n')
    .filter(line => line.startsWith('Tcp:'))
    .map(line => line.split(' '))
  return Number(counts[names.indexOf(counter)])
}

const commitsBegun = async (lab: Lab) => {
  const log = await readFile(lab.servers.db2.logFile, 'utf8')
  return log.split('LOG:  commit begins').length - 1
}

export const loseTheLinkAtCommit = {
  commitMs: COMMIT_MS,
  environment: { FLY_MACHINE_ID: MACHINE },
  args: ['--writes', String(SEQUENCE + 1)],
  prepare: async (server: Throwaway) => void (await server.runAsRoot(TRIGGER)),
  watch(lab: Lab) {
    const before = commitsBegun(lab)
    let dialled = 0
    return {
      /** Silences the link once the commit has begun and only the writer and the reader are connected. */
      async cut(): Promise<void> {
        await until(async () => (await commitsBegun(lab)) > (await before))
        await until(async () => (await tcpCounter(lab, 'CurrEstab')) <= 2)
        await lab.network.silence('db2')
        dialled = await tcpCounter(lab, 'ActiveOpens')
      },
      /** Settles when the probe has given the connection up and dials another one. */
      redialled: () => until(async () => (await tcpCounter(lab, 'ActiveOpens')) > dialled),
      mend: () => lab.network.mend('db2'),
    }
  },
}
