"""The RPCs over templates."""

from google.protobuf.empty_pb2 import Empty

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1 import campaigns_pb2_grpc as rpc
from kit import caller, gsm, pages, rows
from kit.interceptors import Context
from kit.store import Database
from services.campaigns import pricing, rendering, system_templates
from services.campaigns.errors import TemplateInvalid, TemplateReadOnly
from services.campaigns.merchants import Merchants
from services.campaigns.store import CampaignStore

WRITABLE = frozenset({"name", "text", "language", "category"})
NAME_CHARACTERS_MAX = 100


class Templates(rpc.TemplatesServiceServicer):
    def __init__(self, database: Database, merchants: Merchants, public_base_url: str) -> None:
        self._database, self._merchants, self._public_base_url = database, merchants, public_base_url

    async def CreateTemplate(self, request: pb.CreateTemplateRequest, context: Context) -> pb.Template:
        _check(request.template, sorted(WRITABLE))
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            if answer := await store.replayed(request, pb.Template):
                return answer
            return await store.answered(request, await store.create_template(request.template))

    async def GetTemplate(self, request: pb.GetTemplateRequest, context: Context) -> pb.Template:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            return await store.template(request.id, request.version)

    async def ListTemplates(self, request: pb.ListTemplatesRequest, context: Context) -> pb.ListTemplatesResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.uuid)
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            page = await store.template_page(request, after, limit)
        token = pages.token(page, limit, lambda template: template.id)
        return pb.ListTemplatesResponse(templates=page, next_page_token=token)

    async def UpdateTemplate(self, request: pb.UpdateTemplateRequest, context: Context) -> pb.Template:
        paths = rows.paths(request.update_mask, request.template, WRITABLE)
        _check_own(request.template.id)
        _check(request.template, paths)
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            return await store.update_template(request.template, paths)

    async def DeleteTemplate(self, request: pb.DeleteTemplateRequest, context: Context) -> Empty:
        _check_own(request.id)
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            await store.delete_template(request.id)
        return Empty()

    async def PreviewTemplate(self, request: pb.PreviewTemplateRequest, context: Context) -> pb.PreviewTemplateResponse:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            template = await store.template(request.id)
        merchant = await self._merchants.get(caller.merchant_id())
        # A longer address is a longer text.
        text = rendering.preview(template.text, request.values, merchant.public_base_url or self._public_base_url)
        return pb.PreviewTemplateResponse(
            rendering=pricing.rendering(text),
            gsm_rendering=pricing.rendering(gsm.to_gsm(text)),
            ucs2_characters=gsm.ucs2_characters(text),
        )


def _check_own(id: str) -> None:
    """Refuses `TemplateReadOnly`."""
    if id in system_templates.BY_ID:
        raise TemplateReadOnly(id=id)


def _check(template: pb.Template, paths: list[str]) -> None:
    """Refuses `TemplateInvalid`, `TextInvalid`."""
    if "name" in paths and not 0 < len(template.name.strip()) <= NAME_CHARACTERS_MAX:
        raise TemplateInvalid(field="template.name", characters_max=NAME_CHARACTERS_MAX)
    for path in ("language", "category"):
        if path in paths and len(getattr(template, path)) > 35:
            raise TemplateInvalid(field=f"template.{path}", characters_max=35)
    if "text" in paths:
        rendering.compile_text(template.text, field="template.text")
