import uvloop

from kit import log
from services.gateway.app import NAME
from services.gateway.serving import serve
from services.gateway.settings import Settings

if __name__ == "__main__":
    log.setup(NAME)
    uvloop.run(serve(Settings()))
