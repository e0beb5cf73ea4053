"""The floor: a bare aiohttp handler that parses and answers JSON, under uvloop, in a process of its own. Nothing else."""

import orjson
import uvloop
from aiohttp import web
from child import say, until_told_to_stop


async def _answer(request: web.Request) -> web.Response:
    asked = orjson.loads(await request.read())
    return web.Response(body=orjson.dumps({"data": asked}), headers={"Content-Type": "application/json"})


async def main() -> None:
    app = web.Application()
    app.router.add_post("/api/v1/payouts", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    say(port=runner.addresses[0][1])
    await until_told_to_stop()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main())
